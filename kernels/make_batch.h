#pragma once

#include "kernels/base/philox.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// What one training sample is made of: which image, mirrored or not, and four linear coefficients. Every
/// objective (score, noise, x0, v, EDM's F) is linear in the image and the noise: model/diffusion/objective.h
/// computes these.
struct SampleRecipe {
  uint64_t image;             // index into the image set
  uint32_t noise_sample;      // the sample number of the noise's stream
  uint32_t flip;              // 1: mirrored left to right
  float input_x0, input_z;    // network input  = input_x0 x0 + input_z z
  float target_x0, target_z;  // network target = target_x0 x0 + target_z z
};

struct MakeBatchDims {
  int n, h, w, c;
  uint64_t seed;  // of the noise's stream; its purpose is diffusion_noise (or validation)
  Purpose purpose;
  const uint32_t* step;  // of the noise's stream; read on the device
};

/// Gather + flip + normalise + noise + scaling in one pass over the batch.
/// pixels: u8 [count,H,W,C]; x0 = pixel / 127.5 - 1. Element e of sample n takes element e of the noise's
/// stream (seed, purpose, *step, recipe[n].noise_sample). input [N,H,W,C] f32, bf16 or f64; target [N,H,W,C]
/// f32 (f64 if input is).
void make_batch(CpuStream&, const MakeBatchDims&, const uint8_t* pixels, const SampleRecipe* recipes,
                Out input, Out target);
void make_batch(CudaStream&, const MakeBatchDims&, const uint8_t* pixels, const SampleRecipe* recipes,
                Out input, Out target);

/// Error: a size that is not positive.
void check_make_batch(const MakeBatchDims&);

}  // namespace ito::kernels
