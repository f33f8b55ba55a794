#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/muon.h"

/// What the tests of muon share: a list of matrices between other parameters, and the formulas in f64.
namespace ito::test {

/// Row after row.
struct MatrixF64 {
  int rows, columns;
  std::vector<double> x = std::vector<double>(size_t(rows) * size_t(columns));

  double& operator()(int i, int j) { return x[size_t(i) * size_t(columns) + size_t(j)]; }
  double operator()(int i, int j) const { return x[size_t(i) * size_t(columns) + size_t(j)]; }
  double norm() const {
    double sum = 0;
    for (const double value : x) sum += value * value;
    return std::sqrt(sum);
  }
  MatrixF64 transposed() const {
    MatrixF64 t{columns, rows};
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < columns; ++j) t(j, i) = (*this)(i, j);
    return t;
  }
};

inline MatrixF64 operator*(const MatrixF64& a, const MatrixF64& b) {
  MatrixF64 product{a.rows, b.columns};
  for (int i = 0; i < a.rows; ++i)
    for (int k = 0; k < a.columns; ++k)
      for (int j = 0; j < b.columns; ++j) product(i, j) += a(i, k) * b(k, j);
  return product;
}

/// scale a + other b.
inline MatrixF64 sum_of(double scale, const MatrixF64& a, double other, const MatrixF64& b) {
  MatrixF64 sum{a.rows, a.columns};
  for (size_t i = 0; i < a.x.size(); ++i) sum.x[i] = scale * a.x[i] + other * b.x[i];
  return sum;
}

/// Wide, tall, square, a single row, a single column, one number; larger than a tile, and not whole tiles.
struct MuonCase {
  std::vector<kernels::MuonMatrix> list = {{16, 3, 5, 0},    {48, 70, 20, 0},   {1456, 66, 131, 0},
                                           {10112, 9, 9, 0}, {10208, 1, 37, 0}, {10256, 21, 1, 0},
                                           {10288, 1, 1, 0}};
  kernels::MuonMatrices all = kernels::muon_matrices(list);
  size_t count = 10304;

  MuonCase() { all.list = list.data(); }
  bool in_a_matrix(size_t i) const {
    for (const kernels::MuonMatrix& a : list)
      if (int64_t(i) >= a.at && int64_t(i) < a.at + int64_t(a.rows) * a.columns) return true;
    return false;
  }
};

/// One update: m moves, and grad becomes the update, by the formulas of kernels/muon.h.
inline void muon_reference(const MuonCase& c, double scale, std::vector<double>& grad,
                           std::vector<double>& m) {
  for (const kernels::MuonMatrix& a : c.list) {
    const size_t begin = size_t(a.at);
    MatrixF64 x{a.rows, a.columns};
    for (size_t i = 0; i < x.x.size(); ++i) {
      const double g = scale * grad[begin + i];
      m[begin + i] += (1 - double(kernels::kMuonMomentum)) * (g - m[begin + i]);
      x.x[i] = g + double(kernels::kMuonMomentum) * (m[begin + i] - g);
    }
    const double norm = x.norm() + double(kernels::kMuonEps);
    for (double& value : x.x) value /= norm;
    for (int i = 0; i < kernels::kMuonSteps; ++i) {
      const MatrixF64 gram = x * x.transposed();
      const MatrixF64 p = sum_of(double(kernels::kMuonB), gram, double(kernels::kMuonC), gram * gram);
      x = sum_of(double(kernels::kMuonA), x, 1, p * x);
    }
    for (size_t i = 0; i < x.x.size(); ++i)
      grad[begin + i] = 0.2 * std::sqrt(std::max(a.rows, a.columns)) * x.x[i];
  }
}

/// An element's error: a step multiplies what is left of an error by 3.4 at most, five of them by 485, and sums of n
/// products of f32 numbers have errors of sqrt(n) roundings of the row's norm, 1.2 at most; a factor of 4 is for the
/// three products of a step.
inline double muon_tolerance(const kernels::MuonMatrix& a) {
  return kernels::muon_scale(a) * 4 * 485 * 0x1p-24 * std::sqrt(std::max(a.rows, a.columns));
}

}  // namespace ito::test
