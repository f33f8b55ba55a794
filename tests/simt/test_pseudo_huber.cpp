#include <doctest/doctest.h>

#include "kernels/pseudo_huber.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::F64Array;
using simt::rounding;

namespace {

void check(int n, double c) {
  CAPTURE(n);
  CAPTURE(c);
  const size_t count = size_t(n);
  std::vector<float> squares = simt::normals<float>(count, 1);
  const std::vector<float> scale = simt::normals<float>(count, 2), weight = simt::normals<float>(count, 3);
  for (float& x : squares) x *= x;
  squares[0] = 0;  // a distance of 0, at which the root itself has no slope
  CudaStream stream;
  const auto got = simt::under_all_schedules([&] {
    DeviceArray<float> s{stream, squares}, a{stream, scale}, w{stream, weight};
    DeviceArray<float> slope{stream, count}, total{stream, 1};
    pseudo_huber(stream, n, c, {.squares = s.in(), .scale = a.in(), .weight = w.in()}, slope.out(),
                 total.out());
    std::vector<float> all = slope.read();
    all.push_back(total.read()[0]);
    return all;
  });
  CpuStream cpu(1);
  F64Array s(squares), a(scale), w(weight);
  F64Array slope(count), total(1);
  pseudo_huber(cpu, n, c, {.squares = s.in(), .scale = a.in(), .weight = w.in()}, slope.out(), total.out());
  double magnitude = 0;  // of the summands
  for (size_t i = 0; i < count; ++i) {
    const double root = std::sqrt(double(squares[i]) + c * c);
    CHECK(slope.v[i] == doctest::Approx(double(weight[i]) * double(scale[i]) / (2 * root)).epsilon(1e-12));
    magnitude += std::abs(double(weight[i])) * (root - c);
    CHECK(std::abs(double(got[i]) - slope.v[i]) <= rounding<float>() * std::abs(slope.v[i]));
  }
  CHECK(std::abs(double(got[count]) - total.v[0]) <= rounding<float>() * (magnitude + 1e-30));
}

}  // namespace

TEST_CASE("pseudo_huber agrees with the CPU in f64, under every schedule") {
  for (const int n : {1, 5, 300, 1100})
    for (const double c : {1e-3, 0.5, 40.0}) check(n, c);
}

TEST_CASE("pseudo_huber loses nothing where a distance is small against c") {
  CpuStream cpu(1);
  F64Array squares(std::vector<float>{1e-20f}), one(std::vector<float>{1}), slope(1), total(1);
  pseudo_huber(cpu, 1, 1, {.squares = squares.in(), .scale = one.in(), .weight = one.in()}, slope.out(),
               total.out());
  CHECK(total.v[0] == doctest::Approx(0.5 * double(1e-20f)).epsilon(1e-12));
}

TEST_CASE("pseudo_huber refuses f64, no samples and no c") {
  CudaStream stream;
  double value = 0;
  const In x{&value, DType::f64};
  const Out out{&value, DType::f64}, none{};
  const PseudoHuberOperands f64{.squares = x, .scale = x, .weight = x}, empty{};
  CHECK_THROWS_WITH(pseudo_huber(stream, 1, 1, f64, out, out),
                    "pseudo_huber: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(pseudo_huber(stream, 0, 1, empty, none, none), ito::Error);
  CHECK_THROWS_AS(pseudo_huber(stream, 1, 0, empty, none, none), ito::Error);
  CHECK_THROWS_AS(pseudo_huber(stream, 1, std::nan(""), empty, none, none), ito::Error);
}
