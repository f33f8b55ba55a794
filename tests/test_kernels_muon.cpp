#include <doctest/doctest.h>

#include <algorithm>

#include "kernel_arrays.h"
#include "muon_reference.h"
#include "network_problem.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

/// The buffers of a model whose parameters outside of matrices are NaN: nothing may read them.
struct Buffers {
  Array<float> grad, m, x, squares;
  StepState state{.grad_norm = 2};

  Buffers(const MuonCase& c, uint64_t seed)
      : grad(normals(c.count, seed)),
        m(std::vector<double>(c.count, 0.0)),
        x(c.count),
        squares(kMuonSquares * c.all.gram_count) {
    for (size_t i = 0; i < c.count; ++i)
      if (!c.in_a_matrix(i)) grad.data()[i] = m.data()[i] = NAN;
  }
  void step(CpuStream& stream, const MuonCase& c) {
    muon(stream, c.all, 1, &state,
         {.grad = grad.data(), .m = m.data(), .x = x.data(), .squares = squares.data()});
  }
};

/// [rows,columns] with orthonormal columns, by Gram and Schmidt.
MatrixF64 orthonormal(int rows, int columns, uint64_t seed) {
  MatrixF64 q{columns, rows, normals(size_t(rows) * size_t(columns), seed)};  // its rows, at first
  const auto dot = [&](int i, int j) {
    double sum = 0;
    for (int k = 0; k < rows; ++k) sum += q(i, k) * q(j, k);
    return sum;
  };
  for (int pass = 0; pass < 2; ++pass)  // twice is enough
    for (int i = 0; i < columns; ++i) {
      for (int j = 0; j < i; ++j) {
        const double along = dot(i, j);
        for (int k = 0; k < rows; ++k) q(i, k) -= along * q(j, k);
      }
      const double length = std::sqrt(dot(i, i));
      for (int k = 0; k < rows; ++k) q(i, k) /= length;
    }
  return q.transposed();
}

double polynomial(double s) {
  for (int i = 0; i < kMuonSteps; ++i)
    s = double(kMuonA) * s + double(kMuonB) * std::pow(s, 3) + double(kMuonC) * std::pow(s, 5);
  return s;
}

}  // namespace

TEST_CASE("muon follows f64 for several updates, and touches nothing else") {
  const MuonCase c;
  CpuStream one(1), two(2);
  Buffers a(c, 1), b(c, 1);
  std::vector<double> m(c.count, 0.0);
  for (uint64_t step = 1; step <= 3; ++step) {
    for (Buffers* buffers : {&a, &b}) {
      const Array<float> gradient(normals(c.count, step));
      for (size_t i = 0; i < c.count; ++i)
        if (c.in_a_matrix(i)) buffers->grad.data()[i] = gradient.data()[i];
    }
    std::vector<double> grad = a.grad.values();
    muon_reference(c, 0.5, grad, m);
    a.step(one, c), b.step(two, c);
    CHECK(std::memcmp(a.grad.data(), b.grad.data(), c.count * sizeof(float)) == 0);
    CHECK(std::memcmp(a.m.data(), b.m.data(), c.count * sizeof(float)) == 0);
    for (const MuonMatrix& matrix : c.list) {
      double worst = 0, momentum = 0;
      for (int64_t i = matrix.at; i < matrix.at + int64_t(matrix.rows) * matrix.columns; ++i) {
        worst = std::max(worst, std::abs(a.grad[size_t(i)] - grad[size_t(i)]));
        momentum = std::max(momentum, std::abs(a.m[size_t(i)] - m[size_t(i)]));
      }
      CAPTURE(matrix.rows);
      CAPTURE(matrix.columns);
      CHECK(worst <= muon_tolerance(matrix));
      CHECK(momentum <= 16 * epsilon<float>());
    }
    for (size_t i = 0; i < c.count; ++i)
      if (!c.in_a_matrix(i)) CHECK((std::isnan(a.grad[i]) && std::isnan(a.m[i])));
    CHECK(
        (a.grad.guards_intact() && a.m.guards_intact() && a.x.guards_intact() && a.squares.guards_intact()));
  }
}

TEST_CASE("muon's update has the matrix's singular vectors, and singular values near 1") {
  const int side = 24, length = 60;
  std::vector<double> values, expected;
  for (int i = 0; i < side; ++i) values.push_back(0.02 + 0.98 * i / (side - 1));
  double norm = 0;
  for (const double s : values) norm = std::hypot(norm, s);
  for (const double s : values) expected.push_back(polynomial(s / norm));
  const MatrixF64 u = orthonormal(side, side, 1), v = orthonormal(length, side, 2);
  const auto with = [&](const std::vector<double>& singular) {
    MatrixF64 left = u;
    for (int i = 0; i < side; ++i)
      for (int j = 0; j < side; ++j) left(i, j) *= singular[size_t(j)];
    return left * v.transposed();
  };
  for (const bool wide : {true, false}) {
    MuonCase c;
    c.list = {wide ? MuonMatrix{0, side, length, 0} : MuonMatrix{0, length, side, 0}};
    c.all = muon_matrices(c.list), c.all.list = c.list.data(), c.count = size_t(side) * length;
    const auto turned = [&](const MatrixF64& a) { return wide ? a : a.transposed(); };
    CpuStream stream(1);
    Buffers b(c, 3);
    b.grad = Array<float>(turned(with(values)).x);  // at the first update u is a multiple of the gradient
    b.step(stream, c);
    std::vector<double> update = turned(with(expected)).x;
    for (double& x : update) x *= double(muon_scale(c.list[0]));
    check_close(b.grad, update, 0, muon_tolerance(c.list[0]));
  }
}

TEST_CASE("the polynomial leads every singular value from .01 to 1 into the band") {
  for (double s = 0.01; s <= 1; s += 0.001) {
    CHECK(polynomial(s) > 0.67);
    CHECK(polynomial(s) < 1.21);
  }
}

TEST_CASE("muon's update is NumPy's") {
  // tests/reference/muon.py
  MuonCase c;
  c.list = {{0, 3, 4, 0}}, c.all = muon_matrices(c.list), c.all.list = c.list.data(), c.count = 12;
  Buffers b(c, 1);
  for (int i = 0; i < 12; ++i)
    b.grad.data()[i] = float((i * 7 % 12) - 5), b.m.data()[i] = float(i % 5) / 4 - 0.5F;
  b.state.grad_norm = 0.5F;
  CpuStream stream(1);
  b.step(stream, c);
  const std::vector<double> update = {
#include "fixtures/muon_update.inc"
  };
  check_close(b.grad, update, 0, muon_tolerance(c.list[0]));
}

TEST_CASE("muon: a step that is skipped, no gradient at all, nothing to do") {
  const MuonCase c;
  CpuStream stream(2);
  Buffers b(c, 5);
  const Array<float> gradient = b.grad;
  b.state.skipped = 1;
  b.step(stream, c);
  CHECK(b.grad.same_bits(gradient));
  CHECK(b.m[16] == 0);
  b.state.skipped = 0;
  for (size_t i = 0; i < c.count; ++i) b.grad.data()[i] = 0;
  b.step(stream, c);
  for (size_t i = 0; i < c.count; ++i)
    if (c.in_a_matrix(i)) CHECK(b.grad[i] == 0);
  CHECK_THROWS_WITH_AS(muon(stream, MuonMatrices{}, 1, &b.state, {}), doctest::Contains("0 matrices"), Error);
}
