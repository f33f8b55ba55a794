#include "kernels/pointwise.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/base/math.h"
#include "kernels/parallel.h"

// A result may alias an operand, element for element: `ivdep` states that no element depends on another.
namespace ito::kernels {
namespace {

template <class T, class U>
void scaled_sum(CpuStream& stream, int64_t count, double alpha, const T* a, double beta, const T* b, U* y) {
  using A = std::conditional_t<std::is_same_v<T, double> || std::is_same_v<U, double>, double, float>;
  const A alpha_a = A(alpha), beta_a = A(beta);
  const auto widen = [](T value) { return A(arithmetic_t<T>(value)); };
  parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
    if (b) {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) y[i] = U(alpha_a * widen(a[i]) + beta_a * widen(b[i]));
    } else {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) y[i] = U(alpha_a * widen(a[i]));
    }
  });
}

/// Pixels whose sum is kept in f32, between which sums are in f64.
constexpr int kPixels = 128;

template <class T, class A>
void sum_pixels(const T* x, int pixels, int c, A* __restrict sum) {
  std::fill(sum, sum + c, A(0));
  for (int p = 0; p < pixels; ++p, x += c) {
    for (int j = 0; j < c; ++j) sum[j] += A(x[j]);
  }
}

}  // namespace

void check_pointwise(const char* op, int64_t samples, int64_t per_sample) {
  if (samples < 1 || per_sample < 1)
    fail(cat(op, ": ", samples, " samples of ", per_sample, " elements; both must be positive"));
}

void activation_forward(CpuStream& stream, int64_t count, Activation activation, In x, Out y) {
  check_pointwise("activation", 1, count);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    const T* from = x.as<T>();
    T* to = y.as<T>();
    visit(activation, [&](auto act) {
      parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i) to[i] = T(activate<act.value>(arithmetic_t<T>(from[i])));
      });
    });
  });
}

void activation_backward(CpuStream& stream, int64_t count, Activation activation, In dy, In x, Out dx) {
  check_pointwise("activation", 1, count);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T *from = x.as<T>(), *gradient = dy.as<T>();
    T* to = dx.as<T>();
    visit(activation, [&](auto act) {
      parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
        for (int64_t i = begin; i < end; ++i)
          to[i] = T(A(gradient[i]) * activation_slope<act.value>(A(from[i])));
      });
    });
  });
}

void add_scaled(CpuStream& stream, int64_t count, double alpha, In a, double beta, In b, Out y) {
  check_pointwise("add_scaled", 1, count);
  visit(a.dtype, [&](auto t) {
    visit(y.dtype, [&](auto u) {
      using T = decltype(t);
      using U = decltype(u);
      scaled_sum<T, U>(stream, count, alpha, a.as<T>(), beta, b.as<T>(), y.as<U>());
    });
  });
}

void fill(CpuStream& stream, int64_t count, double value, Out y) {
  check_pointwise("fill", 1, count);
  visit(y.dtype, [&](auto t) {
    using T = decltype(t);
    T* const to = y.as<T>();
    const T rounded = T(arithmetic_t<T>(value));
    parallel_pieces(stream, count,
                    [=](int64_t begin, int64_t end) { std::fill(to + begin, to + end, rounded); });
  });
}

void add_channels_forward(CpuStream& stream, int n, int hw, int c, In x, In bias, Out y) {
  check_pointwise("add_channels", n, int64_t(hw) * c);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T *from = x.as<T>(), *biases = bias.as<T>();
    T* to = y.as<T>();
    const int rows = std::max<int>(1, kPiece / c);  // pixels at a time
    const int64_t pieces = div_up<int64_t>(hw, rows);
    parallel_each(stream, n * pieces, [=](int64_t task) {
      const int64_t image = task / pieces, begin = task % pieces * rows,
                    end = std::min<int64_t>(hw, begin + rows);
      const T* b = biases + image * c;
      for (int64_t p = image * hw + begin; p < image * hw + end; ++p) {
#pragma GCC ivdep
        for (int j = 0; j < c; ++j) to[p * c + j] = T(A(from[p * c + j]) + A(b[j]));
      }
    });
  });
}

void add_channels_backward(CpuStream& stream, int n, int hw, int c, In dy, Out dbias) {
  check_pointwise("add_channels", n, int64_t(hw) * c);
  visit(dy.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    struct ChannelSums {
      std::vector<A> sums;
    };
    const T* from = dy.as<T>();
    T* to = dbias.as<T>();
    const int64_t pieces = div_up<int64_t>(hw, kPixels);
    auto& sums = stream.state<ChannelSums>().sums;
    sums.resize(std::max(sums.size(), size_t(n) * pieces * c));
    parallel_each(stream, n * pieces, [&](int64_t task) {
      const int64_t begin = task % pieces * kPixels;
      sum_pixels(from + (task / pieces * hw + begin) * c, int(std::min<int64_t>(kPixels, hw - begin)), c,
                 sums.data() + task * c);
    });
    parallel_each(stream, n, [&](int64_t image) {
      for (int j = 0; j < c; ++j) {
        double sum = 0;
        for (int64_t piece = 0; piece < pieces; ++piece)
          sum += double(sums[(image * pieces + piece) * c + j]);
        to[image * c + j] = T(A(sum));
      }
    });
  });
}

void scale_samples(CpuStream& stream, int n, int64_t per_sample, In x, In scale, Out y) {
  check_pointwise("scale_samples", n, per_sample);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T* from = x.as<T>();
    const A* scales = scale.as<A>();
    T* to = y.as<T>();
    const int64_t pieces = div_up(per_sample, kPiece);
    parallel_each(stream, n * pieces, [=](int64_t task) {
      const int64_t sample = task / pieces, start = sample * per_sample, begin = task % pieces * kPiece;
      const int64_t end = std::min(per_sample, begin + kPiece);
      const A factor = scales[sample];
#pragma GCC ivdep
      for (int64_t i = start + begin; i < start + end; ++i) to[i] = T(factor * A(from[i]));
    });
  });
}

}  // namespace ito::kernels
