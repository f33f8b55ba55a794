#include "model/metrics/frechet.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"
#include "model/metrics/dense.h"

namespace ito::model {
namespace {

using ConstMap = Eigen::Map<const Matrix>;  // symmetric: rows and columns are the same

ConstMap covariance_of(const FeatureStatistics& s) {
  return ConstMap(s.covariance.data(), s.dimensions(), s.dimensions());
}

void check_statistics(const FeatureStatistics& s) {
  const int64_t d = s.dimensions();
  if (d < 1 || int64_t(s.covariance.size()) != d * d)
    fail(cat("statistics of ", d, " means and ", s.covariance.size(), " covariances do not belong together"));
  const auto finite = [](double x) { return std::isfinite(x); };
  if (!std::all_of(s.mean.begin(), s.mean.end(), finite) ||
      !std::all_of(s.covariance.begin(), s.covariance.end(), finite))
    fail("statistics hold numbers that are not finite");
}

/// B [D, rank] with S = B B^T for a positive semidefinite S. What rounding leaves of a deficient rank is cut.
Matrix factor_of(const Matrix& s) {
  const Eigen::LDLT<Matrix> factor(s);
  const Eigen::VectorXd pivots = factor.vectorD();  // descending up to rounding
  const double least = pivots.maxCoeff() * std::numeric_limits<double>::epsilon();
  Eigen::Index rank = 0;
  while (rank < pivots.size() && pivots[rank] > least) ++rank;
  Matrix b = Matrix(factor.matrixL()).leftCols(rank);
  b *= pivots.head(rank).cwiseSqrt().asDiagonal();
  return factor.transpositionsP().transpose() * b;
}

/// tr (S1 S2)^(1/2).
double trace_of_root(const Matrix& s1, const Matrix& s2) {
  const Matrix b = factor_of(s1);
  if (b.cols() == 0) return 0;
  Matrix half(s2.rows(), b.cols()), product(b.cols(), b.cols());
  by_rows(half.rows(), [&](auto first, auto count) {
    half.middleRows(first, count).noalias() = s2.middleRows(first, count) * b;
  });
  by_rows(product.rows(), [&](auto first, auto count) {
    product.middleRows(first, count).noalias() = b.middleCols(first, count).transpose() * half;
  });
  double sum = 0;
  for (const double eigenvalue : symmetric_eigenvalues(product)) sum += std::sqrt(std::max(eigenvalue, 0.0));
  return sum;
}

/// Whether a is of fewer images, so that its covariance has the smaller rank, and is cheaper to factor.
bool has_smaller_rank(const FeatureStatistics& a, const FeatureStatistics& b) {
  return a.count > 0 && (b.count == 0 || a.count < b.count);
}

}  // namespace

FeatureSums::FeatureSums(int64_t dimensions)
    : dimensions_(dimensions), sum_(size_t(dimensions)), products_(size_t(dimensions * dimensions)) {
  block_.reserve(size_t(kBlock * dimensions));
}

void FeatureSums::add(const FeatureRows& rows) {
  if (rows.columns != dimensions_)
    fail(cat("features of width ", rows.columns, " where ", dimensions_, " are expected"));
  check_features("FID", rows, 0);
  for (int64_t i = 0; i < rows.rows; ++i) {
    block_.insert(block_.end(), rows.row(i), rows.row(i) + dimensions_);
    if (int64_t(block_.size()) == kBlock * dimensions_) take_block();
  }
  count_ += rows.rows;
}

void FeatureSums::take_block() {
  const int64_t rows = int64_t(block_.size()) / dimensions_;
  if (rows == 0) return;
  const RowMatrix x = widened({block_.data(), rows, dimensions_}, 0, rows);
  Eigen::Map<Eigen::RowVectorXd>(sum_.data(), dimensions_) += x.colwise().sum();
  Eigen::Map<Matrix> products(products_.data(), dimensions_, dimensions_);
  by_rows(dimensions_, [&](auto first, auto count) {
    products.middleRows(first, count).noalias() += x.middleCols(first, count).transpose() * x;
  });
  block_.clear();
}

void FeatureSums::merge(FeatureSums& other) {
  if (other.dimensions_ != dimensions_)
    fail(cat("features of width ", other.dimensions_, " where ", dimensions_, " are expected"));
  take_block(), other.take_block();
  count_ += other.count_;
  for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += other.sum_[i];
  for (size_t i = 0; i < products_.size(); ++i) products_[i] += other.products_[i];
}

FeatureStatistics FeatureSums::statistics() {
  if (count_ < 2) fail(cat("FID needs at least 2 images on each side, there are ", count_));
  take_block();
  const double n = double(count_);
  FeatureStatistics s{count_, sum_, products_};
  for (double& m : s.mean) m /= n;
  Eigen::Map<Matrix> covariance(s.covariance.data(), dimensions_, dimensions_);
  const Eigen::Map<const Eigen::VectorXd> mean(s.mean.data(), dimensions_);
  covariance -= n * mean * mean.transpose();
  covariance /= n - 1;
  covariance.triangularView<Eigen::StrictlyUpper>() = covariance.transpose();  // equal to the last bit
  return s;
}

double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b) {
  check_statistics(a), check_statistics(b);
  if (a.dimensions() != b.dimensions())
    fail(cat("statistics of ", a.dimensions(), " and of ", b.dimensions(), " features cannot be compared"));
  double between = 0;
  for (size_t i = 0; i < a.mean.size(); ++i) {
    const double difference = a.mean[i] - b.mean[i];
    between += difference * difference;
  }
  const double root = has_smaller_rank(a, b) ? trace_of_root(covariance_of(a), covariance_of(b))
                                             : trace_of_root(covariance_of(b), covariance_of(a));
  const double distance = between + trace(a) + trace(b) - 2 * root;
  return distance <= 0 ? 0 : distance;  // rounding can leave a little less than 0; NaN stays
}

double trace(const FeatureStatistics& s) { return covariance_of(s).trace(); }

}  // namespace ito::model
