#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/kernel_cases.h"
#include "bench/kernel_report.h"
#include "bench/plain_passes.h"
#include "engine/buffer.h"
#include "model/unet/presets.h"

/// bench_kernels on the emulated GPU: every case runs there, and every baseline computes the
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

void check_baseline(Device& device, PreparedCase prepared, double tolerance) {
  if (!prepared.baseline.run || !prepared.result.defined()) return;
  prepared.run();
  const std::vector<double> ours = prepared.result.to_doubles();
  std::vector<Runnable> ways = prepared.baseline.alternatives;
  ways.push_back(prepared.baseline.run);
  int refused = 0;
  for (const Runnable& way : ways) {
    device.zero(prepared.result.data(), prepared.result.bytes());
    try {
      way();
    } catch (const Error&) {
      ++refused;
      continue;
    }
    CHECK(distance(prepared.result.to_doubles(), ours) < tolerance);
  }
#if defined(ITO_SIMT)  // whose last algorithm always refuses
  CHECK(refused == (prepared.baseline.name == "cuDNN best"));
#else
  CHECK(refused < int(ways.size()));
#endif
}

/// Weights, moments and average after some steps, fused or pass by pass.
std::vector<std::vector<float>> after_adamw(Backend backend, bool by_passes) {
  Device device({1, backend});
  constexpr size_t kCount = 20000;
  std::vector<float> grad, w;
  for (size_t i = 0; i < kCount; ++i)
    grad.push_back(random_normal({1, Purpose::test, 0, 0}, uint32_t(i))),
        w.push_back(random_normal({1, Purpose::test, 0, 1}, uint32_t(i)));
  const std::vector<float> zeros(kCount, 0.0f);
  std::vector<uint8_t> flags;
  for (size_t i = 0; i < kCount / kernels::kParameterAlign; ++i) flags.push_back(i % 2);
  engine::Buffer<uint8_t> decayed(device, flags);
  engine::Buffer<float> grads(device, grad), clipped(device, zeros);
  engine::Buffer<float> results[] = {{device, w}, {device, zeros}, {device, zeros}, {device, zeros}};
  engine::Buffer<bf16> half(device, kCount);
  engine::Buffer<kernels::StepInput> input(device, {kernels::StepInput{0, 1e-2f}});
  engine::Buffer<kernels::StepState> state(device, {kernels::StepState{}});
  engine::Buffer<std::byte> scratch(device, std::vector<std::byte>(kernels::kGradientNormScratch));
  kernels::AdamWOptions options;
  options.weight_decay = 0.1f;
  const kernels::AdamWBuffers b{.grad = grads.data(),
                                .flags = decayed.data(),
                                .w = results[0].data(),
                                .m = results[1].data(),
                                .v = results[2].data(),
                                .ema = results[3].data(),
                                .half = half.data()};
  for (int step = 0; step < 3; ++step)
    device.launch([&](auto& s) {
      kernels::gradient_norm(s, kCount, options, {}, grads.data(), state.data(), scratch.data());
      if (by_passes)
        adamw_by_passes(s, {kCount, options, input.data(), state.data(), b, clipped.data()});
      else
        kernels::adamw_update(s, kCount, options, input.data(), state.data(), b);
    });
  std::vector<std::vector<float>> all;
  for (const auto& result : results) all.push_back(result.read());
  all.emplace_back();
  for (const bf16 x : half.read()) all.back().push_back(float(x));
  return all;
}

TEST_CASE("AdamW pass by pass is AdamW") {
  for (Backend backend : {Backend::cpu, Backend::cuda}) {
    const auto fused = after_adamw(backend, false), passes = after_adamw(backend, true);
    for (size_t i = 0; i < fused.size(); ++i)
      CHECK(distance({passes[i].begin(), passes[i].end()}, {fused[i].begin(), fused[i].end()}) <
            (i == 4 ? 1e-4 : 1e-6));  // the last is in bf16, where a number may round to its neighbour
  }
}

TEST_CASE("every case runs on CUDA, and its baseline computes the same") {
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
      check_baseline(device, c.prepare(operands), dtype == DType::f32 ? 1e-5 : 0.02);
    }
    const MachineInfo machine = machine_of(device);
    const auto json = nlohmann::json::parse(to_json(machine, "A test", ceilings, measurements));
    CHECK(json["machine"]["gpu"] == device.name());
    CHECK(json["machine"].contains("driver"));
    CHECK(json["cases"].size() == cases.size());
  }
}

}  // namespace
}  // namespace ito::bench
