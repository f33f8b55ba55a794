#include <doctest/doctest.h>

#include "model/diffusion/sample_chunk.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/unet/presets.h"
#include "tests/helpers.h"

/// How many images are sampled together, and the memory that an evaluation of them takes.
namespace ito::model {
namespace {

using tests::contains, tests::error_of;

/// A new network, whose numbers do not matter, and its denoiser.
struct Model {
  NetworkConfig config;
  engine::Device device;
  engine::ParamStore store;
  Network network;
  Denoiser denoiser;

  explicit Model(const NetworkConfig& c, int threads = 1)
      : config(c), device({.threads = threads}), store(device), network(Scope(store), c) {
    store.allocate(engine::ParamStore::Use::inference, 0);
    denoiser = network_denoiser(network, {});
  }
  engine::Shape image() const { return {config.height, config.width, config.channels}; }
  int chunk() { return sample_chunk(device, denoiser, image()); }
  int guided_chunk() {
    Denoiser doubled = denoiser;
    doubled.doubled = true;
    return sample_chunk(device, doubled, image());
  }
};

TEST_CASE("networks for images of up to 64 pixels draw eight at a time on a CPU, guided or not") {
  for (const Preset& p : presets()) {
    if (p.network.height > 64) continue;
    CAPTURE(p.name);
    Model m(p.network);
    CHECK(m.chunk() == 8);
    CHECK(m.guided_chunk() == 8);
  }
}

TEST_CASE("larger ones draw as many as the budget holds, whatever the number of threads") {
  struct Case {
    const char* preset;
    int chunk, guided;
  };
  for (const Case& c : {Case{"faces128", 8, 8}, {"celeba128", 8, 4}, {"celeba256", 2, 1}}) {
    CAPTURE(c.preset);
    for (const int threads : {1, 7}) {
      Model m(preset(c.preset).network, threads);
      CHECK(m.chunk() == c.chunk);
      CHECK(m.guided_chunk() == c.guided);
    }
  }
}

TEST_CASE("a network of 256 pixels halves its chunk for the budget, and not further") {
  Model m(preset("celeba256").network);
  const auto values = [&](int chunk) {
    const size_t all = evaluation_bytes(m.device, m.denoiser, m.image(), chunk);
    engine::DryRun dry(m.device, engine::DryRun::Counts::values);
    engine::NoGrad off(m.device);
    m.denoiser.network(Tensor(m.device, {chunk, 256, 256, 3}, engine::DType::f32),
                       Tensor(m.device, {chunk}, engine::DType::f32));
    CHECK(dry.peak_bytes() <= all);
    return dry.peak_bytes();
  };
  CHECK(values(2) <= kChunkBytesOnCpu);
  CHECK(values(4) > kChunkBytesOnCpu);
}

TEST_CASE("an evaluation takes the memory that the dry run finds, less the inputs, which are the sampler's") {
  Model m(preset("tiny").network);
  const size_t predicted = evaluation_bytes(m.device, m.denoiser, m.image(), 8);
  CHECK(checked_evaluation_bytes(m.device, m.denoiser, m.image(), 8) == predicted);
  const SamplerPlan plan =
      make_sampler_plan({.sampler = SamplerKind::euler_maruyama, .steps = 3}, make_sde({}));
  Sampler sampler(m.device, m.denoiser, plan, m.image(), 8);
  sampler.run({0});
  const size_t inputs = 8 * size_t(m.image().count()) * sizeof(float) + 256;
  CHECK(m.device.arena().peak_bytes() <= predicted);
  CHECK(m.device.arena().peak_bytes() >= predicted - inputs);
}

TEST_CASE("an image that no machine has the memory for is refused, with what to do") {
  Model m(preset("tiny").network);
  const engine::Shape image{32768, 32768, 3};
  Denoiser plain = m.denoiser;
  plain.network = [](const Tensor& input, const Tensor&) {  // a convolution's result of 1024 channels
    return Tensor(input.device(), {input.shape()[0], 32768, 32768, 1024}, engine::DType::f32);
  };
  CHECK(sample_chunk(m.device, plain, image) == 1);
  const auto refusal = [&] { checked_evaluation_bytes(m.device, plain, image, 1); };
  CHECK(contains(error_of(refusal),
                 "an evaluation of 1 image of 32768x32768 needs 4206592 MiB of memory besides"));
  CHECK(contains(error_of(refusal), "end what else needs memory, or draw on a machine with more"));
}

}  // namespace
}  // namespace ito::model
