#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <vector>

#include "kernels/base/math.h"
#include "model/metrics/features.h"

/// What the metrics share of Eigen; only their .cpp files include it.
namespace ito::model {

using Matrix = Eigen::MatrixXd;
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Rows begin .. begin + count - 1 in f64.
inline RowMatrix widened(const FeatureRows& x, int64_t begin, int64_t count) {
  using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const Floats>(x.row(begin), count, x.columns).cast<double>();
}

/// f(first, count) for pieces of a matrix's rows, each once, shared by the threads: so a large product is computed. Its
/// pieces are a function of its size, and so are its bits.
template <class F>
void by_rows(Eigen::Index rows, F&& f) {
  constexpr Eigen::Index kRows = 128;
  const Eigen::Index pieces = div_up(rows, kRows);
#pragma omp parallel for schedule(dynamic)
  for (Eigen::Index i = 0; i < pieces; ++i) f(i * kRows, std::min(kRows, rows - i * kRows));
}

/// Eigenvalues of a symmetric matrix, ascending; only its lower triangle is read. Error: not finite.
std::vector<double> symmetric_eigenvalues(const Matrix& symmetric);

/// Errors, naming `metric`: two sets of different width; fewer than `least` rows; numbers that are not
/// finite.
void check_features(const char* metric, const FeatureRows& x, int64_t least);
void check_same_width(const char* metric, const FeatureRows& a, const FeatureRows& b);

}  // namespace ito::model
