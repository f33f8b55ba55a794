#pragma once

#include "kernels/base/philox.h"
#include "kernels/cuda_stream.h"

/// Philox blocks as cuRAND computes them, for comparison with ours.
namespace ito::tests {

/// The words of `blocks` blocks from number `first` on, 4 each, by the device function of cuRAND's header: what
/// random_block (kernels/base/philox.h) must give.
void curand_device_words(kernels::CudaStream&, const RandomKey&, uint32_t first, int blocks, uint32_t* words);

/// cuRAND's library can be loaded.
bool curand_available();
/// 4 * blocks words by the library's generator, in its legacy order: block i is Philox4x32-10 of the counter
/// {0, 0, i, 0} and the key `seed`. blocks <= 4096.
void curand_library_words(kernels::CudaStream&, uint64_t seed, int blocks, uint32_t* words);

}  // namespace ito::tests
