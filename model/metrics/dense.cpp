#include "model/metrics/dense.h"

#include <Eigen/Eigenvalues>
#include <cmath>

#include "kernels/base/error.h"

namespace ito::model {

std::vector<double> symmetric_eigenvalues(const Matrix& symmetric) {
  if (symmetric.rows() == 0) return {};
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(symmetric, Eigen::EigenvaluesOnly);
  if (solver.info() != Eigen::Success || !solver.eigenvalues().allFinite())
    fail(cat("the eigenvalues of a ", symmetric.rows(), "x", symmetric.rows(),
             " matrix could not be computed: its numbers are not finite"));
  return {solver.eigenvalues().begin(), solver.eigenvalues().end()};
}

void check_features(const char* metric, const FeatureRows& x, int64_t least) {
  if (x.columns < 1) fail(cat(metric, ": features of width ", x.columns));
  if (x.rows < least) fail(cat(metric, " needs at least ", least, " images, there are ", x.rows));
  for (int64_t i = 0; i < x.rows * x.columns; ++i) {
    if (!std::isfinite(x.data[i]))
      fail(cat(metric, ": the features of image ", i / x.columns, " are not finite"));
  }
}

void check_same_width(const char* metric, const FeatureRows& a, const FeatureRows& b) {
  if (a.columns != b.columns)
    fail(cat(metric, ": features of width ", a.columns, " cannot be compared with features of width ",
             b.columns, "; take both from one network"));
}

}  // namespace ito::model
