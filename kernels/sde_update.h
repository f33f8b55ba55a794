#pragma once

#include "kernels/base/philox.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Denoised images of earlier steps that an update may use.
inline constexpr int kSdeHistory = 2;

/// One step of any sampler whose update is linear in what it has evaluated (all of them are), as numbers. It is stored
/// in the device's memory: a captured step is replayed with the next step's numbers.
struct SdeStep {
  float skip = 0, out = 1;               // D_0 = skip x + out F: the denoised image
  float guidance = 1;                    // F = F_null + guidance (F_cond - F_null), where there are two
  float a = 1;                           // of the state that the step started from
  float b[1 + kSdeHistory] = {0, 0, 0};  // of D_0 and of the ones before it
  float c = 0;                           // of the noise
  float next_scale = 1;                  // of the network's next input
  float next_c_noise = 0;                // the network's next condition
  uint32_t noise_step = 0;               // which noise: the step number in its stream
};

struct SdeUpdateDims {
  int n;            // images
  int per_image;    // elements of an image, D = H*W*C
  int history;      // how many of it are given, 0..kSdeHistory
  bool guided;      // f holds [F_cond; F_null], and next_in and next_c_noise are wanted twice, too
  Purpose purpose;  // of the noise
};

/// All [N,D] f32 unless stated otherwise (f64 if `start` is; the noise is then the same f32 number, converted).
struct SdeUpdateOperands {
  In start = {};      // the state that the step started from; null: 0
  In x = {}, f = {};  // the network's input and output; f is f32 or bf16, [2N,D] if guided; both null: no D_0
  In history[kSdeHistory] = {};     // D_1, D_2: newest first
  const uint64_t* seeds = nullptr;  // [N]; null where no step draws noise
  Out denoised = {};                // D_0, for later steps; may be null
  Out x_out;                        // x'; may be start or x
  Out next_in = {};                 // next_scale x', f32 or bf16; [2N,D] if guided; may be null
  Out next_c_noise = {};            // [N] f32, [2N] if guided; may be null
};

/// x' = a start + b[0] D_0 + sum_k b[k] D_k + c z, z ~ N(0,1); one launch a step: guidance, preconditioning,
/// drift, diffusion, noise and the network's next input. Element e of image n is disturbed by element e of
/// the stream (seeds[n], purpose, noise_step, sample 0), so an image depends on its seed alone, whatever N
/// is. Euler-Maruyama for dt > 0, x <- x - [f - g^2 s] dt + g sqrt(dt) z, is one such step:
/// model/diffusion/steps.h.
void sde_update(CpuStream&, const SdeUpdateDims&, const SdeStep* step, const SdeUpdateOperands&);
void sde_update(CudaStream&, const SdeUpdateDims&, const SdeStep* step, const SdeUpdateOperands&);

/// Error: dims and operands that do not fit together.
void check_sde_update(const SdeUpdateDims&, const SdeUpdateOperands&);

}  // namespace ito::kernels
