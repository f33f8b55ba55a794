#include "model/metrics/kernel_distance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "model/metrics/dense.h"

namespace ito::model {
namespace {

/// numpy.random.RandomState as far as choice(n, m, replace=False) needs it.
class RandomState {
 public:
  explicit RandomState(uint32_t seed) : engine_(seed) {}

  /// The first m of a permutation of 0..n-1 (Fisher and Yates, from the end).
  std::vector<int64_t> choice(int64_t n, int64_t m) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t(0));
    for (int64_t i = n - 1; i > 0; --i) std::swap(order[size_t(i)], order[size_t(up_to(uint32_t(i)))]);
    order.resize(size_t(m));
    return order;
  }

 private:
  /// Uniform in 0..most: as many bits as `most` has, drawn until they are not above it.
  uint32_t up_to(uint32_t most) {
    uint32_t mask = most;
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    uint32_t value;
    do value = uint32_t(engine_()) & mask;
    while (value > most);
    return value;
  }

  std::mt19937 engine_;
};

RowMatrix gathered(const FeatureRows& x, const std::vector<int64_t>& rows) {
  RowMatrix matrix(rows.size(), x.columns);
  for (size_t i = 0; i < rows.size(); ++i) matrix.row(Eigen::Index(i)) = widened(x, rows[i], 1);
  return matrix;
}

/// Sum of k(x_i, y_j) over all i and j; without i = j for `distinct`.
double kernel_sum(const RowMatrix& x, const RowMatrix& y, bool distinct) {
  Matrix k(x.rows(), y.rows());
  by_rows(k.rows(), [&](auto first, auto count) {
    k.middleRows(first, count).noalias() = x.middleRows(first, count) * y.transpose();
  });
  k = (k.array() / double(x.cols()) + 1).cube();
  return distinct ? k.sum() - k.trace() : k.sum();
}

}  // namespace

KernelDistance kernel_distance(const FeatureRows& a, const FeatureRows& b, const KernelDistanceOptions& o,
                               const std::function<void(int, int)>& progress) {
  check_features("KID", a, 2), check_features("KID", b, 2), check_same_width("KID", a, b);
  KernelDistance result;
  result.subset_size = std::min({o.subset_size, a.rows, b.rows});
  const double m = double(result.subset_size);
  RandomState random(o.seed);
  double sum = 0, squares = 0;
  for (int i = 0; i < o.subsets; ++i) {
    const RowMatrix x = gathered(a, random.choice(a.rows, result.subset_size));
    const RowMatrix y = gathered(b, random.choice(b.rows, result.subset_size));
    const double d = (kernel_sum(x, x, true) + kernel_sum(y, y, true)) / (m * (m - 1)) -
                     2 * kernel_sum(x, y, false) / (m * m);
    sum += d, squares += d * d;
    if (progress) progress(i + 1, o.subsets);
  }
  result.mean = sum / o.subsets;
  result.deviation = std::sqrt(std::max(0.0, squares / o.subsets - result.mean * result.mean));
  return result;
}

}  // namespace ito::model
