#include "kernels/embedding.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor gaussian_fourier(const Tensor& c, const Tensor& w, bool two_pi, DType dtype) {
  expect_rank("gaussian_fourier", "c", c, 1);
  expect_rank("gaussian_fourier", "w", w, 1);
  expect_accumulator("gaussian_fourier", "c", c, dtype);
  expect_accumulator("gaussian_fourier", "w", w, dtype);
  const int n = int(c.count()), half = int(w.count());
  Tensor y(c.device(), {n, 2 * half}, dtype);
  c.device().launch([&](auto& s) { kernels::gaussian_fourier(s, n, half, two_pi, c.in(), w.in(), y.out()); });
  return y;
}

Tensor sinusoidal(const Tensor& t, int channels, const kernels::SinusoidalOptions& options, DType dtype) {
  expect_rank("sinusoidal", "t", t, 1);
  expect_accumulator("sinusoidal", "t", t, dtype);
  if (channels < 2 || channels % 2) fail(cat("sinusoidal: channels must be even, are ", channels));
  const int n = int(t.count());
  Tensor y(t.device(), {n, channels}, dtype);
  t.device().launch([&](auto& s) { kernels::sinusoidal(s, n, channels / 2, options, t.in(), y.out()); });
  return y;
}

}  // namespace ito::engine
