#include <doctest/doctest.h>

#include "kernels/power_ema.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

const PowerEma kEma{{power_gamma(0.05), power_gamma(0.10)}};

/// Both averages, one behind the other, after steps from memory that holds NaN.
std::vector<float> run(size_t count, size_t offset, int steps) {
  CudaStream stream;
  DeviceArray<float> first(stream, count, offset), second(stream, count, offset);
  for (int t = 1; t <= steps; ++t) {
    DeviceArray<float> w(stream, simt::normals<float>(count, uint32_t(t)), offset);
    for (const uint32_t skipped : {0u, 1u}) {
      DeviceArray<StepState> state(stream,
                                   std::vector<StepState>{{.updates = uint64_t(t), .skipped = skipped}});
      power_ema(stream, int64_t(count), kEma, state.data(), {w.data(), {first.data(), second.data()}});
      stream.synchronize();
    }
  }
  std::vector<float> both = first.read();
  const std::vector<float> other = second.read();
  both.insert(both.end(), other.begin(), other.end());
  return both;
}

}  // namespace

TEST_CASE("power_ema agrees with f64, aligned or not, under every schedule") {
  for (const size_t count : {1, 1003, 4096})
    for (const size_t offset : {0, 1}) {
      CAPTURE(count);
      CAPTURE(offset);
      const int steps = 5;
      const auto got = simt::under_all_schedules([&] { return run(count, offset, steps); });
      std::vector<double> want;
      for (const double gamma : kEma.gamma) {
        std::vector<double> average(count, 0.0);
        for (int t = 1; t <= steps; ++t) {
          const std::vector<float> w = simt::normals<float>(count, uint32_t(t));
          const double beta = std::pow(1 - 1.0 / t, gamma + 1);
          for (size_t i = 0; i < count; ++i) average[i] = beta * average[i] + (1 - beta) * double(w[i]);
        }
        want.insert(want.end(), average.begin(), average.end());
      }
      CHECK(simt::count_wrong(got, want, 0, 5 * steps * simt::rounding<float>()) == 0);
    }
}

TEST_CASE("power_ema: any one operand off the alignment of 16 bytes") {
  const std::vector<double> aligned = simt::F64Array(run(1003, 0, 2)).v;
  simt::with_each_array_unaligned(
      [&] { CHECK(simt::count_wrong(run(1003, 0, 2), aligned, 0, 8 * simt::rounding<float>()) == 0); });
}

TEST_CASE("power_ema refuses no parameters") {
  CudaStream stream;
  CHECK_THROWS_AS(power_ema(stream, 0, kEma, nullptr, {}), ito::Error);
}
