#include "model/diffusion/sample_chunk.h"

#include <algorithm>

#include "engine/agreement.h"

namespace ito::model {

namespace {

using engine::DryRun;
using engine::DType;
using engine::Tensor;

size_t peak_bytes(engine::Device& device, const Denoiser& denoiser, const engine::Shape& image, int64_t chunk,
                  DryRun::Counts counts) {
  DryRun dry(device, counts);
  engine::NoGrad off(device);
  const auto input = [&](int64_t n) {
    return Tensor(device, {n, image[0], image[1], image[2]}, denoiser.compute);
  };
  const auto c_noise = [&](int64_t n) { return Tensor(device, {n}, DType::f32); };
  const int64_t asked = denoiser.doubled ? 2 * chunk : chunk;
  const Tensor f = denoiser.network(input(asked), c_noise(asked));
  if (denoiser.guide) denoiser.guide->network(input(chunk), c_noise(chunk));
  return dry.peak_bytes();
}

}  // namespace

size_t evaluation_bytes(engine::Device& device, const Denoiser& denoiser, const engine::Shape& image,
                        int chunk) {
  return peak_bytes(device, denoiser, image, chunk, DryRun::Counts::everything);
}

int sample_chunk(engine::Device& device, const Denoiser& denoiser, const engine::Shape& image) {
  constexpr int kOnCpu = 8, kOnGpu = 64;
  const bool cpu = device.backend() == engine::Backend::cpu;
  const auto counts = cpu ? DryRun::Counts::values : DryRun::Counts::everything;
  const size_t most = cpu ? kChunkBytesOnCpu : device.usable_bytes();
  int chunk = cpu ? kOnCpu : kOnGpu;
  while (chunk > 1 && peak_bytes(device, denoiser, image, chunk, counts) > most) chunk /= 2;
  const std::vector<int> all = engine::gather_values(device.ranks(), chunk);
  return *std::min_element(all.begin(), all.end());
}

size_t checked_evaluation_bytes(engine::Device& device, const Denoiser& denoiser, const engine::Shape& image,
                                int chunk) {
  const size_t needed = evaluation_bytes(device, denoiser, image, chunk), there = device.usable_bytes();
  if (needed <= there) return needed;
  const bool cpu = device.backend() == engine::Backend::cpu;
  const std::string fact = cat(
      "an evaluation of ", chunk, chunk == 1 ? " image of " : " images of ", image[1], "x", image[0],
      " needs ", needed >> 20, " MiB of memory besides the weights, and ", there >> 20,
      " MiB are there: end what else needs memory", cpu ? ", or draw on a machine with more" : " on the GPU");
  Advice advice;
  if (denoiser.guided()) advice.emplace_back("no {guidance}");
  if (chunk > 1) advice.emplace_back("a smaller {chunk}");
  if (!cpu) advice.emplace_back("{device} cpu");
  fail_advising(fact, advice);
}

}  // namespace ito::model
