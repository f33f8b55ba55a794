#include "kernels/pixel_shuffle.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {
namespace {

/// Each of the two is the other's gradient.
Tensor shuffled(const char* name, const Tensor& x, const kernels::PixelShuffleDims& d, bool to_small) {
  const Shape small{d.n, d.h, d.w, d.p * d.p * d.c}, large{d.n, d.p * d.h, d.p * d.w, d.c};
  const auto move = [d](bool down, const Tensor& from, const Shape& shape) {
    Tensor to(from.device(), shape, from.dtype());
    from.device().launch([&](auto& s) {
      if (down)
        kernels::pixel_unshuffle(s, d, from.in(), to.out());
      else
        kernels::pixel_shuffle(s, d, from.in(), to.out());
    });
    return to;
  };
  const Tensor y = move(to_small, x, to_small ? small : large);
  return x.device().tape().record(name, y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    return {move(!to_small, dy, to_small ? large : small)};
  });
}

}  // namespace

Tensor pixel_unshuffle(const Tensor& x, int p) {
  expect_rank("pixel_unshuffle", "x", x, 4);
  const Shape a = x.shape();
  if (p < 1 || a[1] % p || a[2] % p)
    fail(cat("pixel_unshuffle: height and width must be multiples of ", p, ", x is ", a.str()));
  return shuffled("pixel_unshuffle", x, {int(a[0]), int(a[1]) / p, int(a[2]) / p, int(a[3]), p}, true);
}

Tensor pixel_shuffle(const Tensor& x, int p) {
  expect_rank("pixel_shuffle", "x", x, 4);
  const Shape a = x.shape();
  if (p < 1 || a[3] % (p * p))
    fail(cat("pixel_shuffle: channels must be a multiple of ", p * p, ", x is ", a.str()));
  return shuffled("pixel_shuffle", x, {int(a[0]), int(a[1]), int(a[2]), int(a[3]) / (p * p), p}, false);
}

}  // namespace ito::engine
