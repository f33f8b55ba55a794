#include "kernels/embedding.h"

#include <cmath>
#include <numbers>

#include "kernels/parallel.h"

// Small (a vector a sample), so that accuracy comes first: angles, sines and cosines are in f64.
namespace ito::kernels {

void check_embedding(const char* op, int n, int half) {
  if (n < 1 || half < 1) fail(cat(op, ": ", n, " samples, ", half, " frequencies; both must be positive"));
}

void gaussian_fourier(CpuStream& stream, int n, int half, bool two_pi, In c, In w, Out y) {
  check_embedding("gaussian_fourier", n, half);
  visit(y.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const A *cs = c.as<A>(), *ws = w.as<A>();
    T* ys = y.as<T>();
    parallel_each(stream, n, [=](int64_t sample) {
      T *sines = ys + sample * 2 * half, *cosines = sines + half;
      for (int k = 0; k < half; ++k) {
        const double product = double(ws[k]) * double(cs[sample]);  // exact where both are floats
        const double turns = product - std::nearbyint(product);
        const double angle = two_pi ? 2 * std::numbers::pi * turns : product;
        sines[k] = T(A(std::sin(angle))), cosines[k] = T(A(std::cos(angle)));
      }
    });
  });
}

void sinusoidal(CpuStream& stream, int n, int half, const SinusoidalOptions& options, In t, Out y) {
  check_embedding("sinusoidal", n, half);
  visit(y.dtype, [&](auto type) {
    using T = decltype(type);
    using A = arithmetic_t<T>;
    const A* ts = t.as<A>();
    T* ys = y.as<T>();
    const double step = -std::log(double(options.max_period)) / (double(half) - double(options.freq_shift));
    const bool flip = options.flip_sin_to_cos;
    parallel_each(stream, n, [=](int64_t sample) {
      T *first = ys + sample * 2 * half, *second = first + half;
      T *sines = flip ? second : first, *cosines = flip ? first : second;
      for (int k = 0; k < half; ++k) {
        const double angle = double(ts[sample]) * std::exp(step * k);
        sines[k] = T(A(std::sin(angle))), cosines[k] = T(A(std::cos(angle)));
      }
    });
  });
}

}  // namespace ito::kernels
