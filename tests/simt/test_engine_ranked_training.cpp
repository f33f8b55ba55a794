#include <doctest/doctest.h>

#include <cstdlib>
#include <sstream>

#include "kernels/cuda_library/collectives.h"
#include "model/training/trainer.h"
#include "model/unet/presets.h"
#include "tests/blobs.h"
#include "tests/forked_ranks.h"

/// Training shared by several GPUs, one a process: the bits of one, launched or captured. On real GPUs two ranks may
/// share one from NCCL 2.30 on.
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

/// GPUs for so many ranks; 0: there are not enough.
int gpus_for(int ranks) {
#if defined(ITO_SIMT)
  return ranks;
#else
  constexpr int kSharedFrom = 23000;  // NCCL 2.30
  setenv("NCCL_MULTI_RANK_GPU_ENABLE", "1", 0);
  // Not in this process, which forks.
  std::istringstream found(run_ranks(1, [](kernels::Wire&) {
    const bool connects = kernels::cuda_library::collectives_problem().empty();
    return cat(kernels::gpu_count(), " ", connects ? kernels::cuda_library::collectives_version() : 0);
  })[0]);
  int gpus = 0, version = 0;
  found >> gpus >> version;
  const bool enough = ranks <= gpus || (ranks == 2 && version >= kSharedFrom);
  if (!enough) MESSAGE(ranks, " ranks are not tried: ", gpus, " GPUs, NCCL ", version);
  return enough ? gpus : 0;
#endif
}

/// Every rank's weights, averages and last loss after some steps, as bytes.
std::vector<std::string> train(int ranks, const Options& o) {
  const std::vector<uint8_t> pixels = tests::blobs(kImages, kSize);
  const int gpus = ranks == 1 ? 1 : gpus_for(ranks);
  if (gpus == 0) return {};
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
                   .gpu = kernels::gpu_count() > 1 ? wire.rank() % gpus : 0,
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
  if (numbers.size() == 2) CHECK(numbers[0] == numbers[1]);
}

}  // namespace
}  // namespace ito::model
