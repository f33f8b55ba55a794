#pragma once

#include "kernels/batch_sample.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// chosen[n] = argmin over k < candidates of ||x0[n] - z_k[n]||^2, the smaller k of equals: the noise that each sample
/// of make_batch takes (Li et al., "Improved Immiscible Diffusion"). x0 is the image as make_batch reads it; element e
/// of z_k is element e of the stream noise_key(dims, recipe[n].noise_sample, k). Differences, squares and the sums of
/// up to 64 of them are f32, longer sums f64. chosen: [N] on the stream's device.
/// Error: sizes that are not positive; candidates that are not 1 to kMostNoiseCandidates.
void nearest_noise(CpuStream&, const MakeBatchDims&, const BatchImages&, int candidates, uint32_t* chosen);
void nearest_noise(CudaStream&, const MakeBatchDims&, const BatchImages&, int candidates, uint32_t* chosen);

void check_nearest_noise(const MakeBatchDims&, int candidates);

}  // namespace ito::kernels
