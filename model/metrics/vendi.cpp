#include "model/metrics/vendi.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "model/metrics/dense.h"

namespace ito::model {
namespace {

constexpr int64_t kBlock = 256;

RowMatrix unit_rows(const FeatureRows& x, int64_t begin, int64_t count) {
  RowMatrix rows = widened(x, begin, count);
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const double length = rows.row(i).norm();
    if (length == 0) fail(cat("the Vendi score is undefined: all features of image ", begin + i, " are 0"));
    rows.row(i) /= length;
  }
  return rows;
}

}  // namespace

double vendi_score(const FeatureRows& x) {
  check_features("the Vendi score", x, 1);
  // X X^T and X^T X have the same eigenvalues except for zeros: the smaller one is taken.
  Matrix products;
  if (x.rows <= x.columns) {
    const RowMatrix rows = unit_rows(x, 0, x.rows);
    products.resize(x.rows, x.rows);
    by_rows(x.rows, [&](auto first, auto count) {
      products.middleRows(first, count).noalias() = rows.middleRows(first, count) * rows.transpose();
    });
  } else {
    products = Matrix::Zero(x.columns, x.columns);
    for (int64_t begin = 0; begin < x.rows; begin += kBlock) {
      const RowMatrix rows = unit_rows(x, begin, std::min(kBlock, x.rows - begin));
      by_rows(x.columns, [&](auto first, auto count) {
        products.middleRows(first, count).noalias() += rows.middleCols(first, count).transpose() * rows;
      });
    }
  }
  products /= double(x.rows);
  double entropy = 0;
  for (const double l : symmetric_eigenvalues(products))
    if (l > 0) entropy -= l * std::log(l);
  return std::exp(entropy);
}

}  // namespace ito::model
