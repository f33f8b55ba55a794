#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/device.h"
#include "model/diffusion/denoiser.h"
#include "model/diffusion/sampler_plan.h"

namespace ito::model {

/// Images sampled together; fixed, because a library's arithmetic may depend on it and an image must not
/// depend on --count.
inline constexpr int kSampleChunk = 8;

/// Called after every denoiser evaluation with the number done and the number to do over all chunks.
using SampleProgress = std::function<void(int64_t done, int64_t total)>;

/// Runs the plan for `seeds.size()` images of shape image = [H,W,C]; image i depends on seeds[i] alone: its
/// prior is the stream (seed, prior, 0, 0), the noise of stage k the stream (seed, sampler_noise, k, 0). f32
/// [N,H,W,C] numbers about [-1,1].
Tensor sample_chunk(engine::Device&, const Denoiser&, const SamplerPlan&, const engine::Shape& image,
                    const std::vector<uint64_t>& seeds, const std::function<void()>& after_stage = {});

/// Samples any number of images in chunks of kSampleChunk (the last one filled up) as u8 [N,H,W,C] pixels:
/// round-half-up of 127.5 x + 127.5, clamped to 0..255.
std::vector<uint8_t> sample_images(engine::Device&, const Denoiser&, const SamplerPlan&,
                                   const engine::Shape& image, const std::vector<uint64_t>& seeds,
                                   const SampleProgress& progress = {});

}  // namespace ito::model
