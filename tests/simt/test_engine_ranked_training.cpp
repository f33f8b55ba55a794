#include <doctest/doctest.h>

#include "model/training/trainer.h"
#include "model/unet/presets.h"
#include "tests/blobs.h"
#include "tests/forked_ranks.h"

/// Training shared by several emulated GPUs, one a process: the bits of one, launched or captured.
namespace ito::model {
namespace {

using engine::Backend;
using engine::Device;
using tests::run_ranks;

constexpr int kImages = 12, kSize = 8, kSteps = 4;  // two launched, one recorded, one replayed

struct Options {
  Precision precision = Precision::f32;
  bool capture = true;
  kernels::Provider conv = kernels::Provider::own;
  engine::Reduction reduction = engine::Reduction::exact;
};

/// Every rank's weights, averages and last loss after some steps, as bytes.
std::vector<std::string> train(int ranks, const Options& o) {
  const std::vector<uint8_t> pixels = tests::blobs(kImages, kSize);
  return run_ranks(ranks, [&](kernels::Wire& wire) {
    TrainingOptions options;
    options.preset = "tiny";
    options.network = preset("tiny").network;
    options.network.height = options.network.width = kSize;
    options.network.dropout = 0.1f;
    options.precision = o.precision, options.conv = o.conv;
    options.batch = 1, options.accumulate = 4, options.steps = kSteps;
    Device device({.threads = 1,
                   .backend = Backend::cuda,
                   .conv = o.conv,
                   .comparison = {.capture = o.capture},
                   .wire = &wire});
    Trainer trainer(device, options, {pixels.data(), kImages, kSize, kSize, 3, "none", {}}, o.reduction);
    StepReport last;
    for (int i = 0; i < kSteps; ++i)
      for (const StepReport& report : trainer.advance()) last = report;
    for (const StepReport& report : trainer.finish()) last = report;
    CHECK(last.step == kSteps - 1);
    CHECK_FALSE(last.skipped);
    engine::ParamStore& store = trainer.store();
    const size_t bytes = size_t(store.flat_count()) * sizeof(float);
    std::string numbers(2 * bytes, '\0');
    device.download(numbers.data(), store.master(), bytes);
    device.download(numbers.data() + bytes, store.ema(), bytes);
    return numbers.append(reinterpret_cast<const char*>(&last.loss), sizeof last.loss);
  });
}

TEST_CASE("two and four GPUs train with the bits of one, launched or captured") {
  const std::string f32 = train(1, {})[0], bf16 = train(1, {Precision::bf16})[0];
  for (const std::string& numbers : train(2, {.capture = false})) CHECK(numbers == f32);
  for (const std::string& numbers : train(4, {})) CHECK(numbers == f32);
  for (const std::string& numbers : train(2, {Precision::bf16})) CHECK(numbers == bf16);
}

TEST_CASE("rank 0's measurements choose convolutions for all, and the library's sum is the same on all") {
  const std::vector<std::string> numbers =
      train(2, {.conv = kernels::Provider::fastest, .reduction = engine::Reduction::nccl});
  CHECK(numbers[0] == numbers[1]);
}

}  // namespace
}  // namespace ito::model
