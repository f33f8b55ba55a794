#pragma once

#include <cstddef>

#include "model/diffusion/denoiser.h"

namespace ito::model {

/// On a CPU a chunk's values take at most this in an evaluation, if one image's do.
inline constexpr size_t kChunkBytesOnCpu = size_t(1) << 30;

/// Images sampled together on a device. On a CPU 8, halved while the values of one evaluation take more than
/// kChunkBytesOnCpu: so it depends on the networks and the image's size alone. On a GPU 64, halved where the GPU's
/// memory is too short for one evaluation. It never depends on how many images are asked for: a library's arithmetic
/// may depend on it, and an image may not. The device's ranks all call it, and get what the one with the least memory
/// can draw.
int sample_chunk(engine::Device&, const Denoiser&, const engine::Shape& image);

/// Bytes that one evaluation of a chunk takes at its peak, besides the weights, found by a dry run.
size_t evaluation_bytes(engine::Device&, const Denoiser&, const engine::Shape& image, int chunk);

/// The same. Error, with what to do: there is less memory on the device.
size_t checked_evaluation_bytes(engine::Device&, const Denoiser&, const engine::Shape& image, int chunk);

}  // namespace ito::model
