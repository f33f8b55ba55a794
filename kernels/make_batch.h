#pragma once

#include "kernels/batch_sample.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// What a batch's noise may have besides its stream. Nothing by default, which costs nothing.
struct BatchNoise {
  /// [N]: the candidate that each sample takes (nearest_noise.h), below kMostNoiseCandidates; null: 0.
  const uint32_t* chosen = nullptr;
  /// G of input perturbation (Ning et al., arXiv:2301.11706): the input's noise is z + G xi, the target's stays z. xi
  /// is N(0, I) of a stream of its own: (seed, input_noise, *step, recipe[n].noise_sample).
  float input = 0;
};

/// Gather + flip + map + normalise + noise + scaling in one pass over the batch.
/// Element e of sample n takes element e of the noise's stream noise_key(dims, recipe[n].noise_sample, chosen[n]),
/// which without candidates is (seed, purpose, *step, recipe[n].noise_sample). A mapped image is read between its
/// pixels, bilinearly, and beyond its edges as if they were mirrors (the edge pixels are not repeated); a map that is
/// the identity gives the pixels that no map gives. input [N,H,W,C] f32, bf16 or f64; target [N,H,W,C] f32 (f64 if
/// input is).
void make_batch(CpuStream&, const MakeBatchDims&, const BatchImages&, const BatchNoise&, Out input,
                Out target);
void make_batch(CudaStream&, const MakeBatchDims&, const BatchImages&, const BatchNoise&, Out input,
                Out target);

/// Error: a size that is not positive.
void check_make_batch(const MakeBatchDims&);

}  // namespace ito::kernels
