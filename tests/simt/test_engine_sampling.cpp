#include <doctest/doctest.h>

#include <cmath>

#include "kernels/base/philox.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/unet/presets.h"
#include "tests/op_evaluation.h"
#include "tests/simt/device_array.h"

/// Sampling on CUDA: the CPU's images, captured stages equal to launched ones, guidance, and images that
/// depend on their seed alone.
namespace ito::model {
namespace {

using engine::Backend;
using engine::Device;
using engine::DType;
using tests::distance;

/// A tiny network whose every weight is random, so that no branch is silent.
struct Model {
  Device device;
  NetworkConfig config;
  engine::ParamStore store;
  std::unique_ptr<Network> network;

  explicit Model(Backend backend, DType compute = DType::f32, int condition = 0, bool capture = true)
      : device({.threads = 1, .backend = backend, .comparison = {.capture = capture}}),
        config(preset("tiny").network),
        store(device) {
    config.height = config.width = 8;
    config.condition = condition;
    network = std::make_unique<Network>(Scope(store), config);
    store.allocate(engine::ParamStore::Use::inference, 1, compute);
    for (size_t i = 0; i < store.specs().size(); ++i) {
      std::vector<float> values = store.read(int(i), engine::Track::master);
      const RandomKey key{5, Purpose::test, 0, uint32_t(i)};
      for (size_t k = 0; k < values.size(); ++k) values[k] += 0.1f * float(random_normal(key, uint32_t(k)));
      store.write(int(i), engine::Track::master, values);
    }
    store.refresh_half();
  }
  engine::Shape image() const { return {config.height, config.width, 3}; }
};

/// A sampler by name with its own options; heun, when asked for as "churn", with churn.
SamplerPlan plan_of(const std::string& name, int steps) {
  SamplerOptions o;
  o.sampler = name == "churn" ? SamplerKind::heun : parse_name<SamplerKind>(name), o.steps = steps;
  if (name == "churn") o.churn = 10;
  return make_sampler_plan(settle(o, Prediction::edm), Sde());
}

std::vector<std::string> every_sampler() {
  std::vector<std::string> names = names_of<SamplerKind>();
  names.push_back("churn");
  return names;
}

std::vector<double> sampled(Model& m, const Denoiser& denoiser, const SamplerPlan& plan,
                            const std::vector<uint64_t>& seeds, int chunk) {
  if (denoiser.prepare) denoiser.prepare(seeds);
  Sampler sampler(m.device, denoiser, plan, m.image(), chunk);
  return sampler.run(seeds).to_doubles();
}

TEST_CASE("every sampler on CUDA makes the CPU's images") {
  for (const std::string& name : every_sampler()) {
    CAPTURE(name);
    const SamplerPlan plan = plan_of(name, 5);
    Model cpu(Backend::cpu), cuda(Backend::cuda);
    const std::vector<uint64_t> seeds = {3, uint64_t(1) << 40};
    const auto want = sampled(cpu, network_denoiser(*cpu.network, {}), plan, seeds, 2);
    const auto got = sampled(cuda, network_denoiser(*cuda.network, {}), plan, seeds, 2);
    CHECK(distance(got, want) < 1e-4);
  }
}

TEST_CASE("replayed stages equal launched ones bit for bit") {
  for (const std::string& name : every_sampler())
    for (DType compute : {DType::f32, DType::bf16}) {
      CAPTURE(name);
      const SamplerPlan plan = plan_of(name, 7);
      const auto images = [&](bool capture) {
        Model m(Backend::cuda, compute, 0, capture);
        return sampled(m, network_denoiser(*m.network, {{}, compute}), plan, {1, 2}, 2);
      };
      CHECK(images(true) == images(false));
    }
}

TEST_CASE("an image on CUDA depends on its seed alone") {
  Model m(Backend::cuda);
  const SamplerPlan plan = plan_of("euler-maruyama", 4);
  const Denoiser denoiser = network_denoiser(*m.network, {});
  const std::vector<double> three = sampled(m, denoiser, plan, {7, 8, 9}, 3),
                            alone = sampled(m, denoiser, plan, {9}, 1);
  CHECK(std::vector<double>(three.end() - ptrdiff_t(alone.size()), three.end()) == alone);
}

/// Another condition for each seed.
std::vector<float> conditions_of(const std::vector<uint64_t>& seeds) {
  std::vector<float> rows;
  for (const uint64_t seed : seeds)
    for (const float value : {1.0f, -1.0f, 0.25f * float(seed)}) rows.push_back(value);
  return rows;
}

TEST_CASE("each image of a chunk has its own condition, guided or not, captured or not") {
  const SamplerPlan plan = plan_of("heun", 3);
  for (double w : {1.0, 3.0}) {
    CAPTURE(w);
    const auto guided = [&](Backend backend, bool capture, const std::vector<uint64_t>& seeds, int chunk) {
      Model m(backend, DType::f32, 3, capture);
      return sampled(m, guided_denoiser(m.device, *m.network, {}, conditions_of, w), plan, seeds, chunk);
    };
    const std::vector<double> three = guided(Backend::cuda, true, {4, 5, 11}, 3),
                              last = guided(Backend::cuda, true, {11}, 1);
    CHECK(three == guided(Backend::cuda, false, {4, 5, 11}, 3));
    CHECK(distance(three, guided(Backend::cpu, true, {4, 5, 11}, 3)) < 1e-4);
    CHECK(std::vector<double>(three.end() - ptrdiff_t(last.size()), three.end()) == last);
  }
}

TEST_CASE("guidance: 1 is plainly conditional, 0 is unconditional, and both devices agree") {
  const SamplerPlan plan = plan_of("heun", 3);
  const auto guided = [&](Model& m, double w) {
    return sampled(m, guided_denoiser(m.device, *m.network, {}, conditions_of, w), plan, {4}, 1);
  };
  Model cpu(Backend::cpu, DType::f32, 3), cuda(Backend::cuda, DType::f32, 3);
  for (double w : {0.0, 1.0, 3.0}) {
    CAPTURE(w);
    const auto want = guided(cpu, w), got = guided(cuda, w);
    CHECK(distance(got, want) < 1e-4);
  }
  const auto null = sampled(cuda, network_denoiser(*cuda.network, {}), plan, {4}, 1);
  CHECK(distance(guided(cuda, 0), null) < 1e-5);
  CHECK(distance(guided(cuda, 1), null) > 1e-3);
}

}  // namespace
}  // namespace ito::model
