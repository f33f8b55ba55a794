#pragma once

#include "kernels/adamw.h"
#include "kernels/make_batch.h"

/// The baselines of two fused kernels: the same work one step at a time, each step a pass over memory.
namespace ito::bench {

/// make_batch's operands, and what the passes leave for each other: the images that were chosen, the same
/// mirrored and scaled, and the noise.
struct PlainBatch {
  kernels::MakeBatchDims dims;
  const uint8_t* pixels;
  const kernels::SampleRecipe* recipes;
  kernels::Out input, target;
  uint8_t* chosen;
  float *x0, *z;
};
/// Gather; mirror and scale; noise; input; target.
void make_batch_by_passes(kernels::CpuStream&, const PlainBatch&);
void make_batch_by_passes(kernels::CudaStream&, const PlainBatch&);

/// adamw_update's operands, and the clipped gradient.
struct PlainAdamW {
  int64_t count;
  kernels::AdamWOptions options;
  const kernels::StepInput* input;
  const kernels::StepState* state;
  kernels::AdamWBuffers buffers;
  float* clipped;
};
/// Clip; first moment; second moment; weights; average; bf16 copy, where it is wanted.
void adamw_by_passes(kernels::CpuStream&, const PlainAdamW&);
void adamw_by_passes(kernels::CudaStream&, const PlainAdamW&);

}  // namespace ito::bench
