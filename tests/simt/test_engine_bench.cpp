#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/kernel_cases.h"
#include "bench/kernel_report.h"
#include "model/unet/presets.h"

/// bench_kernels on the emulated GPU: every case runs there, and what stands beside a kernel computes the
/// same. The times mean nothing.
namespace ito::bench {
namespace {

using engine::Backend;

/// `tiny`, on images as small as it takes.
Setting small(DType dtype) {
  Setting setting{Backend::cuda, 1, dtype, model::preset("tiny").network};
  setting.network.height = setting.network.width = 4;
  return setting;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) difference += (a[i] - b[i]) * (a[i] - b[i]), norm += b[i] * b[i];
  return std::sqrt(difference / norm);
}

void check_beside(Device& device, Trial trial, double tolerance) {
  if (!trial.beside.work || !trial.result.defined()) return;
  trial.work();
  const std::vector<double> ours = trial.result.to_doubles();
  device.zero(trial.result.data(), trial.result.bytes());
  trial.beside.work();
  CHECK(distance(trial.result.to_doubles(), ours) < tolerance);
}

TEST_CASE("every case runs on CUDA, and what stands beside it computes the same") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Setting setting = small(dtype);
    Device device({1, Backend::cuda});
    Operands operands(device);
    Stopwatch watch(device, {1, 1, 0}, 4096);
    const Cases cases = all_cases(setting, network_shapes(setting.network, setting.batch), {});
    const Ceilings ceilings = measure_ceilings(operands, watch, dtype, {4096, 32, 1});
    CHECK(!ceilings.arithmetic.empty());
    std::vector<Measurement> measurements;
    for (const Case& c : cases) {
      CAPTURE(c.name);
      CAPTURE(c.shape);
      measurements.push_back(measure(operands, watch, c));
      CHECK(measurements.back().ours.repeats == 1);
      check_beside(device, c.prepare(operands), dtype == DType::f32 ? 1e-5 : 0.02);
    }
    const Machine machine = machine_of(device);
    const auto json = nlohmann::json::parse(to_json(machine, "A test", ceilings, measurements));
    CHECK(json["machine"]["gpu"] == device.name());
    CHECK(json["machine"].contains("driver"));
    CHECK(json["cases"].size() == cases.size());
  }
}

}  // namespace
}  // namespace ito::bench
