#include "kernels/dropout.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor dropout(const Tensor& x, float p, const kernels::DropoutKey& key) {
  if (!(p >= 0 && p < 1)) fail(cat("dropout: p must be in [0, 1), is ", p));
  if (p == 0) return x;
  const int n = int(x.shape()[0]);
  const int64_t per_sample = x.count() / n;
  Tensor y = like(x);
  x.device().launch([&](auto& s) { kernels::dropout(s, n, per_sample, p, key, x.in(), y.out()); });
  return x.device().tape().record("dropout", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx = like(dy);
    dy.device().launch([&](auto& s) { kernels::dropout(s, n, per_sample, p, key, dy.in(), dx.out()); });
    return {dx};
  });
}

}  // namespace ito::engine
