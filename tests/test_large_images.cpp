#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "engine/checkpoint.h"
#include "model/diffusion/sampler.h"
#include "model/import/foreign_model.h"
#include "model/training/trainer.h"
#include "model/unet/network.h"
#include "model/unet/presets.h"
#include "tests/blobs.h"
#include "tests/helpers.h"
#include "tests/program.h"
#include "tests/small_run.h"

/// The presets for images of 128 and 256 pixels: planned at their full size, run at a smaller one, and the memory that
/// ./sample announces; and that of an import.
namespace {

using namespace ito::tests;
using namespace ito::model;

/// What Linux counts of this process's own memory, without files that it maps.
size_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("RssAnon:", 0) == 0) return size_t(std::stoul(line.substr(8))) * 1024;
  return 0;
}

/// The most of it that an action adds, looked at again and again while it runs.
template <class F>
size_t anonymous_growth(F&& action) {
  std::atomic<bool> running = true;
  const size_t before = anonymous_bytes();
  size_t most = before;
  std::thread watcher([&] {
    while (running) most = std::max(most, anonymous_bytes());
  });
  action();
  running = false;
  watcher.join();
  return most - before;
}

TEST_CASE("an import holds less than its largest tensor, whatever all of them add up to") {
  const TempFolder place;
  NetworkConfig config = preset("celeba256").network;
  config.embedding = EmbeddingKind::sinusoidal;
  config.block_channels = {256, 256}, config.attention = {false, false};
  ito::io::write_file_atomic(place.path() / "config.json", to_json(config));
  std::filesystem::create_directories(place.path() / "unet");
  std::filesystem::rename(place.path() / "config.json", place.path() / "unet/config.json");
  std::filesystem::create_directories(place.path() / "scheduler");
  ito::io::write_file_atomic(place.path() / "scheduler/scheduler_config.json",
                             R"({"_class_name": "DDPMScheduler", "num_train_timesteps": 1000})");
  const pid_t writer = start([&] {  // so that what it has freed is not used again here
    ito::engine::Device device({.threads = 1});
    ito::engine::ParamStore store(device);
    const Network network(ito::engine::Scope(store), config);
    store.allocate(ito::engine::ParamStore::Use::inference, 0);
    ito::engine::save_weights(place.path() / "unet/diffusion_pytorch_model.safetensors", store,
                              ito::engine::Track::master);
  });
  REQUIRE(wait_for(writer) == 0);
  constexpr size_t kLargest = size_t(512) * 256 * 9 * sizeof(float);
  const ForeignModel model = diffusers_model(place.path());
  CHECK(std::filesystem::file_size(model.file) > 8 * kLargest);
  CHECK(anonymous_growth([&] { write_imported(place.path() / "imported", model); }) < kLargest);
}

/// Images of so many pixels a side, and a trainer of a preset's network for them with a batch of one.
struct Training {
  int size;
  std::vector<uint8_t> pixels;
  TrainingOptions options;
  ito::engine::Device device;
  Trainer trainer;

  Training(const std::string& name, int size)
      : size(size),
        pixels(blobs(2, size)),
        options(options_of(name, size)),
        trainer(device, options, images()) {}
  ImageSet images() const { return {pixels.data(), 2, size, size, 3, "none", {}}; }
  static TrainingOptions options_of(const std::string& name, int size) {
    TrainingOptions o;
    o.preset = name, o.network = preset(name).network;
    o.network.height = o.network.width = size;
    if (o.network.block_channels[0] > 32) {  // the same levels with an eighth of the channels
      for (int& channels : o.network.block_channels) channels /= 8;
      o.network.groups = 8;
    }
    o.batch = 1, o.sample_count = 0, o.validate_count = 0;
    set_steps(o, 1);
    return o;
  }
};

TEST_CASE("the large presets train a step and draw") {
  for (const std::string name : {"faces128", "celeba128", "celeba256"}) {
    CAPTURE(name);
    Training t(name, 32);
    t.trainer.step();
    t.trainer.finish();
    const Denoiser denoiser =
        network_denoiser(t.trainer.ema_network(), {t.options.diffusion.preconditioning});
    const ito::engine::Shape image{32, 32, 3};
    const SamplerPlan plan = make_sampler_plan({.sampler = SamplerKind::euler_maruyama, .steps = 1},
                                               make_sde(t.options.diffusion.sde));
    CHECK(sample_images(t.device, denoiser, plan, image, {3}).size() == size_t(image.count()));
  }
}

TEST_CASE("a step at their full size is planned without running it, their networks are counted") {
  Training t("faces128", 128);
  const MemoryPlan plan = t.trainer.plan();
  const double gibibytes = double(plan.step_bytes) / (1 << 30);
  CHECK((gibibytes > 0.05 && gibibytes < 0.2));
  CHECK(double(plan.persistent_bytes) > 16.0 * double(t.trainer.store().trainable_count()));
  const NetworkSize middle = measure(preset("celeba128").network),
                    large = measure(preset("celeba256").network);
  CHECK((middle.parameters == 71502339 && large.parameters == 113738755));
  CHECK(middle.forward_flops == doctest::Approx(124e9).epsilon(0.01));
  CHECK(large.forward_flops == doctest::Approx(497e9).epsilon(0.01));
}

TEST_CASE(
    "./sample states its memory and time before it starts: 10 % above or below the memory that it uses") {
  const TempFolder place;
  const auto run = [&](const std::string& command) { return run_program(place.path(), command); };
  REQUIRE(run("make_faces faces --count 4 --seed 3").code == 0);
  const Ended trained =
      run("train_celeba faces --preset faces128 --batch 1 --steps 1 --warmup 1 --sample-count 0 "
          "--validate-count 0 --out run");
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  for (const std::string flags : {"--threads 1", "--threads 2 --sampler heun"}) {
    const Ended drawn = run("sample --run run --count 1 --steps 1 --out images " + flags);
    CAPTURE(drawn.out);
    CAPTURE(drawn.err);
    REQUIRE(drawn.code == 0);
    CHECK(contains(drawn.out, " weights, "));
    CHECK(contains(drawn.out, " an evaluation of 8 images, the rest program"));
    CHECK(drawn.out.find("memory     ") < drawn.out.find("this will take about "));
    const double stated = std::stod(drawn.out.substr(drawn.out.find("memory     ") + 11)) * (1 << 20);
    CHECK(double(drawn.peak_bytes) / stated == doctest::Approx(1).epsilon(0.1));
  }
}

}  // namespace
