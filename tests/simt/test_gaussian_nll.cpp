#include <doctest/doctest.h>

#include "kernels/gaussian_nll.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::F64Array;
using simt::rounding;

namespace {

/// Scaled weights, both totals and du, one behind the other.
template <class Stream, class Arrays>
void run(Stream& stream, int n, double share, Arrays& a) {
  gaussian_nll_weights(stream, n, a.weight.in(), a.u.in(), a.scaled.out());
  gaussian_nll_total(stream, n, share, a.loss.in(), a.u.in(), a.total.out(), a.plain.out());
  gaussian_nll_backward(stream, n, share, a.upstream.in(), a.loss.in(), a.du.out());
}

struct OnDevice {
  DeviceArray<float> weight, u, loss, upstream, scaled, total, plain, du;
};
struct OnHost {
  F64Array weight, u, loss, upstream, scaled, total, plain, du;
};

void check(int n) {
  CAPTURE(n);
  const size_t count = size_t(n);
  const std::vector<float> weight = simt::normals<float>(count, 1), u = simt::normals<float>(count, 2),
                           loss = simt::normals<float>(count, 3), upstream{0.25f};
  const double share = 1.0 / n;
  CudaStream stream;
  const auto got = simt::under_all_schedules([&] {
    OnDevice a{{stream, weight}, {stream, u}, {stream, loss}, {stream, upstream},
               {stream, count},  {stream, 1}, {stream, 1},    {stream, count}};
    run(stream, n, share, a);
    std::vector<float> all = a.scaled.read();
    for (auto* part : {&a.du, &a.total, &a.plain})
      for (const float x : part->read()) all.push_back(x);
    return all;
  });
  CpuStream cpu(1);
  OnHost b{F64Array(weight), F64Array(u), F64Array(loss), F64Array(upstream),
           F64Array(count),  F64Array(1), F64Array(1),    F64Array(count)};
  run(cpu, n, share, b);
  std::vector<double> want = b.scaled.v;
  for (const auto* part : {&b.du, &b.total, &b.plain})
    want.insert(want.end(), part->v.begin(), part->v.end());
  // expf is within 2 units in the last place; sums are in f64, and of numbers that may cancel.
  const double most = 4 * rounding<float>();
  for (size_t i = 0; i < 2 * count; ++i)
    CHECK(std::abs(double(got[i]) - want[i]) <= most * std::max(std::abs(want[i]), 1.0 / n));
  for (size_t i = 2 * count; i < got.size(); ++i)
    CHECK(std::abs(double(got[i]) - want[i]) <= most * std::max(std::abs(want[i]), 1.0));
}

}  // namespace

TEST_CASE("gaussian_nll agrees with the CPU in f64, under every schedule") {
  for (const int n : {1, 5, 300, 1100}) check(n);
}

TEST_CASE("gaussian_nll refuses f64 and no samples") {
  CudaStream stream;
  double value = 0;
  const Out x{&value, DType::f64}, none{};
  const char* const f64 = "gaussian_nll: f64 exists on the CPU only; on CUDA use f32 or bf16";
  CHECK_THROWS_WITH(gaussian_nll_weights(stream, 1, x, x, x), f64);
  CHECK_THROWS_WITH(gaussian_nll_total(stream, 1, 1, x, x, x, x), f64);
  CHECK_THROWS_WITH(gaussian_nll_backward(stream, 1, 1, x, x, x), f64);
  CHECK_THROWS_AS(gaussian_nll_weights(stream, 0, none, none, none), ito::Error);
  CHECK_THROWS_AS(gaussian_nll_total(stream, 0, 1, none, none, none, none), ito::Error);
  CHECK_THROWS_AS(gaussian_nll_backward(stream, 0, 1, none, none, none), ito::Error);
}
