#include "kernels/resample.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor nearest_up(const Tensor& x) {
  expect_rank("nearest_up", "x", x, 4);
  const Shape a = x.shape();
  const int n = int(a[0]), h = int(a[1]), w = int(a[2]), c = int(a[3]);
  Tensor y(x.device(), {n, 2 * h, 2 * w, c}, x.dtype());
  x.device().launch([&](auto& s) { kernels::nearest_up(s, n, h, w, c, 1, x.in(), y.out()); });
  return x.device().tape().record("nearest_up", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx(dy.device(), a, dy.dtype());
    dy.device().launch([&](auto& s) { kernels::box_down(s, n, h, w, c, 1, dy.in(), dx.out()); });
    return {dx};
  });
}

Tensor box_down(const Tensor& x) {
  expect_rank("box_down", "x", x, 4);
  const Shape a = x.shape();
  if (a[1] % 2 || a[2] % 2) fail(cat("box_down: height and width must be even, x is ", a.str()));
  const int n = int(a[0]), h = int(a[1]) / 2, w = int(a[2]) / 2, c = int(a[3]);
  Tensor y(x.device(), {n, h, w, c}, x.dtype());
  x.device().launch([&](auto& s) { kernels::box_down(s, n, h, w, c, 0.25f, x.in(), y.out()); });
  return x.device().tape().record("box_down", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx(dy.device(), a, dy.dtype());
    dy.device().launch([&](auto& s) { kernels::nearest_up(s, n, h, w, c, 0.25f, dy.in(), dx.out()); });
    return {dx};
  });
}

}  // namespace ito::engine
