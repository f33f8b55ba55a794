#include <doctest/doctest.h>

#include "tests/muon_reference.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;
using simt::DeviceArray;

namespace {

struct Moved {
  std::vector<float> grad, m;
};

/// One update on the device.
Moved run(const MuonCase& c, const std::vector<float>& gradient, const std::vector<float>& momentum,
          const StepState& step) {
  CudaStream stream;
  DeviceArray<float> grad(stream, gradient), m(stream, momentum), x(stream, std::vector<float>(c.count, 7)),
      squares(stream, size_t(kMuonSquares * c.all.gram_count));
  DeviceArray<MuonMatrix> list(stream, c.list);
  DeviceArray<StepState> state(stream, std::vector<StepState>{step});
  MuonMatrices all = c.all;
  all.list = list.data();
  muon(stream, all, 1, state.data(),
       {.grad = grad.data(), .m = m.data(), .x = x.data(), .squares = squares.data()});
  squares.read();  // the guards
  const std::vector<float> xs = x.read();
  for (size_t i = 0; i < c.count; ++i)
    if (!c.in_a_matrix(i)) CHECK(xs[i] == 7);
  return {grad.read(), m.read()};
}

}  // namespace

TEST_CASE("muon agrees with f64, under every schedule, and touches nothing else") {
  const MuonCase c;
  std::vector<float> gradient = simt::normals<float>(c.count, 1),
                     momentum = simt::normals<float>(c.count, 2, 0.1);
  for (size_t i = 0; i < c.count; ++i)
    if (!c.in_a_matrix(i)) gradient[i] = momentum[i] = NAN;
  const StepState state{.grad_norm = 2};
  const std::vector<float> grad =
      simt::under_all_schedules([&] { return run(c, gradient, momentum, state).grad; });
  const std::vector<float> m = run(c, gradient, momentum, state).m;
  simt::F64Array expected(gradient), moved(momentum);
  muon_reference(c, 0.5, expected.v, moved.v);
  for (size_t i = 0; i < c.count; ++i)
    if (!c.in_a_matrix(i)) CHECK((std::isnan(grad[i]) && std::isnan(m[i])));
  for (const MuonMatrix& a : c.list) {
    CAPTURE(a.rows);
    CAPTURE(a.columns);
    const auto part = [&](const auto& of) {
      const auto begin = of.begin() + a.at;
      return std::vector(begin, begin + int64_t(a.rows) * a.columns);
    };
    CHECK(simt::count_wrong(part(grad), part(expected.v), 0, muon_tolerance(a)) == 0);
    CHECK(simt::count_wrong(part(m), part(moved.v), 0, 8 * simt::rounding<float>()) == 0);
  }
}

TEST_CASE("the norm of a gradient next to nothing is not below eps") {
  const MuonCase c;
  const std::vector<float> gradient = simt::normals<float>(c.count, 1, 1e-9), momentum(c.count, 0.0F);
  const std::vector<float> grad = run(c, gradient, momentum, {.grad_norm = 1e-8F}).grad;
  simt::F64Array expected(gradient), moved(momentum);
  muon_reference(c, 1, expected.v, moved.v);
  for (const MuonMatrix& a : c.list) {
    const std::vector<float> got(grad.begin() + a.at, grad.begin() + a.at + int64_t(a.rows) * a.columns);
    const std::vector<double> want(expected.v.begin() + a.at,
                                   expected.v.begin() + a.at + int64_t(a.rows) * a.columns);
    CHECK(simt::count_wrong(got, want, 0, muon_tolerance(a)) == 0);
  }
}

TEST_CASE("muon on the device: a step that is skipped changes nothing; no matrices are refused") {
  const MuonCase c;
  const std::vector<float> gradient = simt::normals<float>(c.count, 1), momentum(c.count, 0.5F);
  const Moved moved = run(c, gradient, momentum, {.skipped = 1});
  CHECK(simt::same_bits(moved.grad, gradient));
  CHECK(simt::same_bits(moved.m, momentum));
  CudaStream stream;
  CHECK_THROWS_WITH_AS(muon(stream, MuonMatrices{}, 1, nullptr, {}), doctest::Contains("0 matrices"),
                       ito::Error);
}
