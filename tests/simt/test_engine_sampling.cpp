#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "kernels/base/philox.h"
#include "kernels/random_fill.h"
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
  std::vector<std::shared_ptr<void>> others;  // what else lives on the device

  explicit Model(Backend backend, DType compute = DType::f32, int condition = 0, bool capture = true,
                 float spread = 0.1f)
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
      for (size_t k = 0; k < values.size(); ++k) values[k] += spread * float(random_normal(key, uint32_t(k)));
      store.write(int(i), engine::Track::master, values);
    }
    store.refresh_half();
  }
  engine::Shape image() const { return {config.height, config.width, 3}; }
};

/// A sampler by name with its own options, rk45 with a large tolerance; heun, when asked for as "churn", with churn.
SamplerPlan plan_of(const std::string& name, int steps) {
  SamplerOptions o;
  o.sampler = name == "churn" ? SamplerKind::heun : parse_name<SamplerKind>(name);
  if (info_of(*o.sampler).steps == 0)
    o.tolerance = 0.05;
  else
    o.steps = steps;
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
    // A wilder network's flow would carry rk45's roundings far apart, since they change its steps, too.
    const float spread = plan.flow ? 0.02f : 0.1f;
    Model cpu(Backend::cpu, DType::f32, 0, true, spread), cuda(Backend::cuda, DType::f32, 0, true, spread);
    const std::vector<uint64_t> seeds = {3, uint64_t(1) << 40};
    const auto want = sampled(cpu, network_denoiser(*cpu.network, {}), plan, seeds, 2);
    const auto got = sampled(cuda, network_denoiser(*cuda.network, {}), plan, seeds, 2);
    CHECK(distance(got, want) < 1e-4);
  }
}

// Of each kind of stages one sampler: none, one, two and three earlier images, two stages a step, and noise before it.
TEST_CASE("replayed stages equal launched ones bit for bit") {
  for (const char* name : {"euler-maruyama", "heun", "churn", "dpm++2m-sde", "dpm++3m", "unipc", "rk45"})
    for (DType compute : {DType::f32, DType::bf16}) {
      if (compute == DType::bf16 && std::string(name) != "heun" && std::string(name) != "unipc") continue;
      CAPTURE(name);
      const SamplerPlan plan = plan_of(name, 6);
      const auto images = [&](bool capture) {
        Model m(Backend::cuda, compute, 0, capture);
        return sampled(m, network_denoiser(*m.network, {{}, compute}), plan, {1}, 1);
      };
      CHECK(images(true) == images(false));
    }
}

// The third run is captured in an arena that the others have sealed.
TEST_CASE("rk45 runs again and again, also after a run that was given up") {
  const SamplerPlan plan = plan_of("rk45", 0);
  const auto made = [&](bool capture) {
    Model m(Backend::cuda, DType::f32, 0, capture, 0.02f);
    Sampler sampler(m.device, network_denoiser(*m.network, {}), plan, m.image(), 2);
    struct GivenUp {};
    int reports = 0;
    const auto give_up = [&](double) {
      if (++reports == 3) throw GivenUp();
    };
    std::vector<std::vector<float>> runs = {sampler.numbers({1, 2})};
    CHECK_THROWS_AS(sampler.numbers({3, 4}, {.progress = give_up}), GivenUp);
    for (const uint64_t seed : {5, 1, 7}) runs.push_back(sampler.numbers({seed, seed + 1}));
    return runs;
  };
  const auto captured = made(true);
  CHECK(captured == made(false));
  CHECK(captured[2] == captured[0]);
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
      return sampled(m, guided_denoiser(m.device, *m.network, {}, conditions_of, {.weight = w}), plan, seeds,
                     chunk);
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
    return sampled(m, guided_denoiser(m.device, *m.network, {}, conditions_of, {.weight = w}), plan, {4}, 1);
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

/// Settings of a sampler's options, as every case below samples them: on the CPU, launched and captured on CUDA, and
/// each image alone.
void check_devices(const SamplerPlan& plan, const std::function<Denoiser(Model&)>& denoiser_of) {
  CAPTURE(plan.name);
  const std::vector<uint64_t> seeds = {3, 8, 9};
  const auto images = [&](Backend backend, bool capture, const std::vector<uint64_t>& of, int chunk) {
    Model m(backend, DType::f32, 3, capture);
    return sampled(m, denoiser_of(m), plan, of, chunk);
  };
  const auto three = images(Backend::cuda, true, seeds, 3), alone = images(Backend::cuda, true, {9}, 1);
  CHECK(three == images(Backend::cuda, false, seeds, 3));
  CHECK(distance(three, images(Backend::cpu, false, seeds, 3)) < 1e-4);
  if (!plan.batch_norms)
    CHECK(std::vector<double>(three.end() - ptrdiff_t(alone.size()), three.end()) == alone);
}

Denoiser plain(Model& m) { return network_denoiser(*m.network, {}); }

SamplerPlan plan_of(const SamplerOptions& o) { return make_sampler_plan(settle(o, Prediction::edm), Sde()); }

TEST_CASE("a corrector, per image and per batch; clipping, static, of the image alone and dynamic") {
  check_devices(plan_of({.sampler = SamplerKind::reverse_diffusion, .steps = 2, .corrector = 2}), plain);
  check_devices(plan_of({.sampler = SamplerKind::dpmpp_2m_sde, .steps = 3, .corrector = 1, .clip = "0.9"}),
                plain);
  check_devices(
      plan_of({.sampler = SamplerKind::ancestral, .steps = 2, .corrector = 1, .snr_norm = SnrNorm::batch}),
      plain);
  check_devices(plan_of({.sampler = SamplerKind::heun, .steps = 4, .clip = "static"}), plain);
  check_devices(plan_of({.sampler = SamplerKind::ddim, .steps = 4, .clip = "image"}), plain);
}

TEST_CASE("a corrector of snr 0 leaves the predictor's images, bit for bit; clipping bounds them") {
  for (const Backend backend : {Backend::cpu, Backend::cuda}) {
    Model m(backend);
    const auto images = [&](const SamplerOptions& o) { return sampled(m, plain(m), plan_of(o), {5, 6}, 2); };
    CHECK(images({.sampler = SamplerKind::ancestral, .steps = 4}) ==
          images({.sampler = SamplerKind::ancestral, .steps = 4, .corrector = 2, .snr = 0}));
    const auto largest = [](const std::vector<double>& x) {
      double most = 0;
      for (double v : x) most = std::max(most, std::abs(v));
      return most;
    };
    CHECK(largest(images({.sampler = SamplerKind::dpmpp_2m, .steps = 4})) > 1);  // random weights
    CHECK(largest(images({.sampler = SamplerKind::dpmpp_2m, .steps = 4, .clip = "static"})) <= 1);
    CHECK(largest(images({.sampler = SamplerKind::dpmpp_2m, .steps = 4, .clip = "0.5"})) <= 1);
  }
}

TEST_CASE("autoguidance by another network, with and without conditions, within an interval") {
  // The guide: another network with other weights and another prediction, on the same device as the model.
  struct Other {
    engine::ParamStore store;
    std::unique_ptr<Network> network;
    explicit Other(Model& m) : store(m.device) {
      NetworkConfig config = m.config;
      config.condition = 0;
      network = std::make_unique<Network>(Scope(store), config);
      store.allocate(engine::ParamStore::Use::inference, 77);
    }
  };
  const auto guided = [&](Model& m, const Guidance& guidance) {
    const auto other = std::make_shared<Other>(m);
    m.others.push_back(other);
    DenoiserOptions x0;
    x0.preconditioning.prediction = Prediction::x0;
    return autoguided(guided_denoiser(m.device, *m.network, {}, conditions_of, {}),
                      network_denoiser(*other->network, x0), guidance);
  };
  const SamplerPlan plan = plan_of({.sampler = SamplerKind::dpmpp_3m, .steps = 5});
  check_devices(plan, [&](Model& m) { return guided(m, {.weight = 2}); });
  check_devices(plan, [&](Model& m) { return guided(m, {.weight = 2, .least = 0.1, .most = 5}); });
  Model m(Backend::cpu, DType::f32, 3);
  const auto images = [&](const Guidance& g) { return sampled(m, guided(m, g), plan, {4, 5}, 2); };
  const auto unguided =
      sampled(m, guided_denoiser(m.device, *m.network, {}, conditions_of, {}), plan, {4, 5}, 2);
  CHECK(images({.weight = 1}) == unguided);
  CHECK(distance(images({.weight = 2, .least = 1e3, .most = 2e3}), unguided) < 1e-5);  // no level is in there
  CHECK(distance(images({.weight = 2}), unguided) > 1e-3);
  CHECK(distance(images({.weight = 2}), images({.weight = 2, .least = 0.1, .most = 5})) > 1e-3);
  CHECK_THROWS_AS(
      autoguided(guided_denoiser(m.device, *m.network, {}, conditions_of, {.weight = 2}), plain(m), {2}),
      Error);
  CHECK_THROWS_AS(autoguided(plain(m), network_denoiser(*m.network, {{}, DType::bf16}), {2}), Error);
}

TEST_CASE("given noise is scaled by the prior's deviation; the denoised images can be looked at") {
  for (const Backend backend : {Backend::cpu, Backend::cuda}) {
    Model m(backend);
    const SamplerPlan plan = plan_of({.sampler = SamplerKind::heun, .steps = 3});
    const size_t count = size_t(m.image().count());
    std::vector<float> noise(2 * count);
    for (const uint64_t seed : {7, 8})
      kernels::fill_normal({seed, Purpose::prior, 0, 0}, 0, int(count), noise.data() + (seed - 7) * count);
    Sampler sampler(m.device, plain(m), plan, m.image(), 4);
    const std::vector<float> drawn = sampler.numbers({7, 8});
    std::vector<size_t> stages;
    std::vector<float> last(count);
    const std::vector<float> given =
        sampler.numbers({1, 2}, {.noise = noise.data(), .look = [&](size_t stage, const Tensor& denoised) {
                                   stages.push_back(stage);
                                   m.device.download(last.data(), denoised.data(), count * sizeof(float));
                                 }});
    CHECK(distance(std::vector<double>(given.begin(), given.end()),
                   std::vector<double>(drawn.begin(), drawn.end())) <
          1e-4);  // the seeds' own noise by another route; Heun draws no more
    CHECK(stages == std::vector<size_t>{0, 1, 2, 3, 4});
    CHECK(std::vector<float>(given.begin(), given.begin() + ptrdiff_t(count)) ==
          last);  // the last step returns D
  }
}

TEST_CASE("numbers that are not finite: the error names evaluation, sampler and level") {
  Model m(Backend::cpu);
  Denoiser broken = plain(m);
  int evaluations = 0;
  broken.network = [&, network = broken.network](const Tensor& input, const Tensor& c_noise) {
    Tensor f = network(input, c_noise);
    if (!m.device.dry() && ++evaluations % 5 == 3) *static_cast<float*>(f.data()) = NAN;
    return f;
  };
  Sampler sampler(m.device, broken, plan_of({.sampler = SamplerKind::dpmpp_2m, .steps = 5}), m.image(), 1);
  CHECK_THROWS_WITH_AS(sampler.sample({3}),
                       doctest::Contains("evaluation 3 of 5 of the sampler dpm++2m, at sigma 2.5"),
                       NotFinite);
}

}  // namespace
}  // namespace ito::model
