#include "kernels/pool.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor pool(const Tensor& x, Pooling kind, const Window& window, int stride, const Padding& padding) {
  expect_rank("pool", "x", x, 4);
  const Shape a = x.shape();
  const kernels::PoolDims d{.n = int(a[0]),
                            .h = int(a[1]),
                            .w = int(a[2]),
                            .c = int(a[3]),
                            .r = window.height,
                            .s = window.width,
                            .stride = stride,
                            .pad_top = padding.top,
                            .pad_left = padding.left,
                            .pad_bottom = padding.bottom,
                            .pad_right = padding.right};
  check_pool(d);
  Tensor y(x.device(), {d.n, d.out_h(), d.out_w(), d.c}, x.dtype());
  x.device().launch([&](auto& s) { kernels::pool_forward(s, kind, d, x.in(), y.out()); });
  // A mean's gradient needs no x, which would be a whole activation kept.
  const Tensor kept = kind == Pooling::max ? x : Tensor{};
  return x.device().tape().record("pool", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx(dy.device(), a, dy.dtype());
    dy.device().launch([&](auto& s) { kernels::pool_backward(s, kind, d, dy.in(), kept.in(), dx.out()); });
    return {dx};
  });
}

}  // namespace ito::engine
