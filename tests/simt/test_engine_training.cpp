#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"
#include "model/training/checkpoint.h"
#include "model/training/trainer.h"
#include "model/unet/presets.h"
#include "tests/blobs.h"
#include "tests/helpers.h"
#include "tests/op_evaluation.h"
#include "tests/simt/device_array.h"

/// Training and sampling on CUDA: the CPU's results, captured steps equal to launched ones, and checkpoints
/// that go from one device to the other.
namespace ito::model {
namespace {

using engine::Backend;
using engine::Device;
using tests::blobs, tests::TempFolder;

constexpr int kImages = 12;

struct Run {
  std::vector<uint8_t> pixels;
  TrainingOptions options;
  int size;
  explicit Run(int size = 16) : pixels(blobs(kImages, size)), size(size) {
    options.preset = "tiny";
    options.network = preset("tiny").network;
    options.network.height = options.network.width = size;
    options.batch = 2;
    options.steps = 20;
    options.optimizer.learning_rate = {engine::Decay::cosine, 2e-3, 5, 20, 0};
    options.optimizer.ema.decay = 0.99;
  }
  ImageSet images() const { return {pixels.data(), kImages, size, size, 3, "none", {}}; }
};

std::vector<StepReport> reports(Device& device, const Run& run, int steps) {
  Trainer trainer(device, run.options, run.images());
  std::vector<StepReport> result;
  for (int i = 0; i < steps; ++i)
    for (const StepReport& r : trainer.advance()) result.push_back(r);
  for (const StepReport& r : trainer.finish()) result.push_back(r);
  return result;
}

#if defined(__SANITIZE_ADDRESS__)  // what is left out touches the same memory
constexpr int kSteps = 5;
constexpr Precision kPrecisions[] = {Precision::bf16};
#else
constexpr int kSteps = 20;
constexpr Precision kPrecisions[] = {Precision::f32, Precision::bf16};
#endif

TEST_CASE("20 steps of tiny in f32 on CUDA have the CPU's losses") {
  const Run run;
  Device cpu({1, Backend::cpu}), cuda({1, Backend::cuda});
  const auto want = reports(cpu, run, kSteps), got = reports(cuda, run, kSteps);
  REQUIRE(got.size() == kSteps);
  for (size_t i = 0; i < kSteps; ++i) {
    CAPTURE(i);
    CHECK(got[i].step == int64_t(i));
    CHECK(std::abs(got[i].loss - want[i].loss) < 1e-4 * want[i].loss);
    CHECK(std::abs(got[i].grad_norm - want[i].grad_norm) < 1e-3 * want[i].grad_norm);
    CHECK(got[i].learning_rate == want[i].learning_rate);
    CHECK(!got[i].skipped);
  }
}

/// Both optimizers have a turn.
engine::OptimizerKind optimizer_for(Precision precision) {
  return precision == Precision::f32 ? engine::OptimizerKind::adamw : engine::OptimizerKind::muon;
}

/// Everything that a step leaves behind, as bits.
std::vector<float> numbers_of(Trainer& trainer) {
  engine::ParamStore& store = trainer.store();
  std::vector<float> all(size_t(store.flat_count()) * 4);
  const float* buffers[] = {store.master(), store.ema(), store.moment1(), store.moment2()};
  for (size_t i = 0; i < 4; ++i)
    store.device().download(all.data() + i * size_t(store.flat_count()), buffers[i],
                            size_t(store.flat_count()) * sizeof(float));
  return all;
}

TEST_CASE("replayed steps equal launched ones bit for bit") {
  for (const Precision precision : kPrecisions) {
    CAPTURE(std::string(name_of(precision)));
    Run run(8);
    run.options.precision = precision, run.options.optimizer.kind = optimizer_for(precision);
    run.options.accumulate = 2;
    run.options.network.dropout = 0.1f;
    Device first({.threads = 1, .backend = Backend::cuda, .comparison = {.capture = false}}),
        second({1, Backend::cuda});
    Trainer launched(first, run.options, run.images()), replayed(second, run.options, run.images());
    for (int i = 0; i < 5; ++i) {
      CHECK(launched.step().loss == replayed.step().loss);
    }
    CHECK(simt::same_bits(numbers_of(launched), numbers_of(replayed)));
  }
}

TEST_CASE(
    "with everything that varies samples, and a learned weight: the CPU's losses, launched and replayed") {
  Run run(8);
  run.options.accumulate = 2;
  run.options.noise_candidates = 5, run.options.input_noise = 0.2;
  run.options.augment = 0.6, run.options.network.augment = true;
  run.options.learn_weighting = true;
  Device cpu({1, Backend::cpu}), cuda({1, Backend::cuda}),
      launched({.threads = 1, .backend = Backend::cuda, .comparison = {.capture = false}});
  const auto want = reports(cpu, run, 5), got = reports(cuda, run, 5), same = reports(launched, run, 5);
  REQUIRE((got.size() == 5 && same.size() == 5));
  for (size_t i = 0; i < 5; ++i) {
    CHECK(std::abs(got[i].loss - want[i].loss) < 1e-4 * want[i].loss);
    CHECK(std::abs(got[i].grad_norm - want[i].grad_norm) < 1e-3 * want[i].grad_norm);
    CHECK((same[i].loss == got[i].loss && same[i].grad_norm == got[i].grad_norm));
  }
}

TEST_CASE("tuned to consistency: the CPU's losses, launched and replayed") {
  Run run(8);
  run.options.accumulate = 2, run.options.network.dropout = 0.1f;
  run.options.from = Origin{"source", 60, "hash"};
  tune_to_consistency(run.options);
  run.options.optimizer.kind = engine::OptimizerKind::radam;
  run.options.consistency.stages = 4;  // of five steps each, so that the first ones have pairs of both kinds
  Device cpu({1, Backend::cpu}), cuda({1, Backend::cuda}),
      launched({.threads = 1, .backend = Backend::cuda, .comparison = {.capture = false}});
  const auto want = reports(cpu, run, 7), got = reports(cuda, run, 7), same = reports(launched, run, 7);
  REQUIRE((got.size() == 7 && same.size() == 7));
  for (size_t i = 0; i < got.size(); ++i) {
    CHECK(std::abs(got[i].loss - want[i].loss) < 1e-4 * want[i].loss);
    CHECK(std::abs(got[i].grad_norm - want[i].grad_norm) < 1e-3 * want[i].grad_norm);
    CHECK((same[i].loss == got[i].loss && same[i].grad_norm == got[i].grad_norm));
  }
}

/// `steps` more steps of a run from its checkpoint, and what they leave.
std::pair<std::vector<double>, std::vector<float>> continued(const Run& run,
                                                             const std::filesystem::path& checkpoint,
                                                             Backend backend, int steps) {
  Device device({1, backend});
  Trainer trainer(device, run.options, run.images());
  resume_from(checkpoint, trainer);
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(trainer.step().loss);
  return {losses, numbers_of(trainer)};
}

TEST_CASE("a run that was killed goes on bit for bit, with dropout, accumulation and in bf16, too") {
  for (const Precision precision : kPrecisions) {
    CAPTURE(std::string(name_of(precision)));
    Run run(8);
    run.options.precision = precision, run.options.optimizer.kind = optimizer_for(precision);
    run.options.accumulate = 2;
    run.options.network.dropout = 0.1f;
    TempFolder folder;
    Device device({1, Backend::cuda});
    Trainer trainer(device, run.options, run.images());
    for (int i = 0; i < 3; ++i) trainer.step();
    save_checkpoint(folder / "checkpoint", trainer);
    std::vector<double> losses;
    for (int i = 0; i < 3; ++i) losses.push_back(trainer.step().loss);
    const auto again = continued(run, folder / "checkpoint", Backend::cuda, 3);
    CHECK(again.first == losses);
    CHECK(simt::same_bits(again.second, numbers_of(trainer)));
  }
}

TEST_CASE("a checkpoint that one device wrote goes on, and is sampled, on the other") {
  Run run(8);
  run.options.optimizer.kind = engine::OptimizerKind::muon;
  const SamplerPlan plan =
      make_sampler_plan({.sampler = SamplerKind::heun, .steps = 2, .grid = Grid::karras}, Sde());
  for (Backend from : {Backend::cuda, Backend::cpu}) {
    const Backend to = from == Backend::cuda ? Backend::cpu : Backend::cuda;
    TempFolder folder;
    Device device({1, from});
    Trainer trainer(device, run.options, run.images());
    for (int i = 0; i < 3; ++i) trainer.step();
    save_checkpoint(folder / "checkpoint", trainer);
    const auto here = continued(run, folder / "checkpoint", from, 4),
               there = continued(run, folder / "checkpoint", to, 4);
    for (size_t i = 0; i < 4; ++i) CHECK(std::abs(there.first[i] - here.first[i]) < 1e-4 * here.first[i]);
    const auto sampled = [&](Backend backend) {
      Device device({1, backend});
      const LoadedModel model = load_model(device, folder / "checkpoint");
      return Sampler(device, model.denoiser(), plan, {8, 8, 3}, 2).run({5, 6}).to_doubles();
    };
    CHECK(tests::distance(sampled(to), sampled(from)) < 1e-4);
  }
}

}  // namespace
}  // namespace ito::model
