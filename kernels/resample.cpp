#include "kernels/resample.h"

#include "kernels/parallel.h"

namespace ito::kernels {

void check_resample(const char* op, int n, int h, int w, int c) {
  if (n < 1 || h < 1 || w < 1 || c < 1)
    fail(cat(op, ": [", n, ",", h, ",", w, ",", c, "]; sizes must be positive"));
}

void nearest_up(CpuStream& stream, int n, int h, int w, int c, float scale, In x, Out y) {
  check_resample("nearest_up", n, h, w, c);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T* images = x.as<T>();
    T* results = y.as<T>();
    const int64_t row = int64_t(w) * c;
    parallel_each(stream, int64_t(n) * h, [=](int64_t i) {  // one row of x, two of y
      const T* from = images + i * row;
      T *upper = results + i * 4 * row, *lower = upper + 2 * row;
      for (int q = 0; q < w; ++q, from += c, upper += 2 * c, lower += 2 * c) {
#pragma GCC ivdep
        for (int j = 0; j < c; ++j) {
          const T value = T(A(scale) * A(from[j]));
          upper[j] = value, upper[c + j] = value, lower[j] = value, lower[c + j] = value;
        }
      }
    });
  });
}

void box_down(CpuStream& stream, int n, int h, int w, int c, float scale, In x, Out y) {
  check_resample("box_down", n, h, w, c);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T* images = x.as<T>();
    T* results = y.as<T>();
    const int64_t row = int64_t(w) * c;
    parallel_each(stream, int64_t(n) * h, [=](int64_t i) {  // one row of y, two of x
      T* to = results + i * row;
      const T *upper = images + i * 4 * row, *lower = upper + 2 * row;
      for (int q = 0; q < w; ++q, to += c, upper += 2 * c, lower += 2 * c) {
#pragma GCC ivdep
        for (int j = 0; j < c; ++j) {
          const A sum = (A(upper[j]) + A(upper[c + j])) + (A(lower[j]) + A(lower[c + j]));
          to[j] = T(A(scale) * sum);
        }
      }
    });
  });
}

}  // namespace ito::kernels
