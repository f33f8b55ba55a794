#include "kernels/squared_error.h"

#include <algorithm>
#include <vector>

#include "kernels/base/math.h"
#include "kernels/parallel.h"

namespace ito::kernels {
namespace {

/// Sum of (y - target)^2 in f64: sixteen running sums, so that additions overlap, added in a fixed order.
template <class T, class A>
double sum_of_squares(const T* __restrict y, const A* __restrict target, int64_t count) {
  constexpr int kLanes = 16;
  double sums[kLanes] = {};
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      const double d = double(A(y[i + k])) - double(target[i + k]);
      sums[k] += d * d;
    }
  }
  for (int64_t i = whole; i < count; ++i) {
    const double d = double(A(y[i])) - double(target[i]);
    sums[i - whole] += d * d;
  }
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) sums[k] += sums[k + width];
  }
  return sums[0];
}

struct SquaredErrorScratch {
  std::vector<double> sums;
};

}  // namespace

void check_squared_error(int n, int64_t per_sample) {
  if (n < 1 || per_sample < 1)
    fail(cat("squared_error: ", n, " samples of ", per_sample, " elements; both must be positive"));
}

void squared_error_forward(CpuStream& stream, int n, int64_t per_sample, const SquaredErrorOperands& o,
                           Out loss, Out total) {
  check_squared_error(n, per_sample);
  visit(o.y.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T* ys = o.y.as<T>();
    const A *targets = o.target.as<A>(), *weights = o.weight.as<A>();
    A* losses = loss.as<A>();
    const int64_t pieces = div_up(per_sample, kPiece);
    auto& sums = stream.state<SquaredErrorScratch>().sums;
    sums.resize(std::max(sums.size(), size_t(n) * pieces));
    parallel_each(stream, n * pieces, [&](int64_t task) {
      const int64_t begin = task % pieces * kPiece, start = task / pieces * per_sample + begin;
      sums[task] = sum_of_squares<T, A>(ys + start, targets + start, std::min(kPiece, per_sample - begin));
    });
    double all = 0;
    for (int sample = 0; sample < n; ++sample) {
      double sum = 0;
      for (int64_t piece = 0; piece < pieces; ++piece) sum += sums[sample * pieces + piece];
      sum *= double(weights[sample]);
      losses[sample] = A(sum);
      all += sum;
    }
    *total.as<A>() = A(all);
  });
}

void squared_error_backward(CpuStream& stream, int n, int64_t per_sample, In dtotal,
                            const SquaredErrorOperands& o, Out dy) {
  check_squared_error(n, per_sample);
  visit(o.y.dtype, [&](auto t) {
    using T = decltype(t);
    using A = arithmetic_t<T>;
    const T* ys = o.y.as<T>();
    const A *targets = o.target.as<A>(), *weights = o.weight.as<A>();
    const A upstream = *dtotal.as<A>();
    T* result = dy.as<T>();
    const int64_t pieces = div_up(per_sample, kPiece);
    parallel_each(stream, n * pieces, [=](int64_t task) {
      const int64_t sample = task / pieces, start = sample * per_sample, begin = task % pieces * kPiece;
      const int64_t end = start + std::min(per_sample, begin + kPiece);
      const A factor = upstream * A(2) * weights[sample];
#pragma GCC ivdep
      for (int64_t i = start + begin; i < end; ++i) result[i] = T(factor * (A(ys[i]) - targets[i]));
    });
  });
}

}  // namespace ito::kernels
