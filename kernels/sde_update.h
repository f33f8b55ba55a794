#pragma once

#include "kernels/base/philox.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Denoised images of earlier steps that an update may use.
inline constexpr int kSdeHistory = 3;

/// What joins a network's output F with its denoised image at this step, D = skip x + out F, and what makes its next
/// input.
struct SdeNetwork {
  float skip = 0, out = 1;
  float next_scale = 1;    // of its next input
  float next_c_noise = 0;  // its next condition
};

/// One step of any sampler whose update is linear in what it has evaluated (all of them are), as numbers. It is stored
/// in the device's memory: a captured step is replayed with the next step's numbers.
struct SdeStep {
  SdeNetwork network, guide;
  float guidance = 1;             // D_0 = D_guide + guidance (D_network - D_guide), where there is a guide
  float a = 1;                    // of the state that the step started from
  float b[1 + kSdeHistory] = {};  // of D_0 and of the ones before it
  float b_raw = 0;                // of D_0 as it is without a limit
  float c = 0;                    // of the noise
  uint32_t noise_step = 0;        // which noise: the step number in its stream
};

struct SdeUpdateDims {
  int n;            // images
  int per_image;    // elements of an image, D = H*W*C
  int history;      // how many of it are given, 0..kSdeHistory
  Purpose purpose;  // of the noise
};

/// One network's tensors. [N,D], f32 or bf16, unless stated otherwise.
struct SdeNetworkOperands {
  In f = {};              // F, what it answered
  Out next_in = {};       // next_scale x'; may be null
  Out next_c_noise = {};  // [N] f32; may be null
};

/// All [N,D] f32 unless stated otherwise (f64 if `start` is; the noise is then the same f32 number, converted).
///
/// The guide is what guidance leads away from. Classifier-free guidance: the network itself without its condition,
/// the second half of a doubled batch (arXiv:2207.12598). Autoguidance: another, worse network (arXiv:2406.02507).
/// D_0 has a guide where guide.f is given, and the guide is asked again where guide.next_in is. Both f have one dtype,
/// and so do both next_in.
struct SdeUpdateOperands {
  In start = {};  // the state that the step started from; null: 0
  In x = {};      // where the networks were asked; x and network.f are both null where there is no D_0
  SdeNetworkOperands network = {}, guide = {};
  In history[kSdeHistory] = {};     // D_1, D_2, D_3: newest first
  In limit = {};                    // [N], of x's dtype, > 0; may be null
  const uint64_t* seeds = nullptr;  // [N]; null where no step draws noise
  Out denoised = {};                // D_0, for later steps; may be null
  Out x_out;                        // x'; may be start or x
};

/// x' = a start + b[0] D_0 + b_raw D_0' + sum_k b[k] D_k + c z, z ~ N(0,1), D_0' being D_0 without a limit; one launch
/// a step: guidance, preconditioning, drift, diffusion, noise and the networks' next inputs. Element e of image n is
/// disturbed by element e of the stream (seeds[n], purpose, noise_step, sample 0), so an image depends on its seed
/// alone, whatever N is. Euler-Maruyama for dt > 0, x <- x - [f - g^2 s] dt + g sqrt(dt) z, is one such step:
/// model/diffusion/steps.h.
///
/// With a limit, D_0 is clamped to [-limit[n], limit[n]] and divided by limit[n] before anything uses it, after
/// guidance. 1 everywhere clips to pixels' range, as DDPM does; larger ones are dynamic thresholding
/// (arXiv:2205.11487; kernels/threshold.h). A NaN in D_0 or in the limit stays one.
void sde_update(CpuStream&, const SdeUpdateDims&, const SdeStep* step, const SdeUpdateOperands&);
void sde_update(CudaStream&, const SdeUpdateDims&, const SdeStep* step, const SdeUpdateOperands&);

/// Error: dims and operands that do not fit together.
void check_sde_update(const SdeUpdateDims&, const SdeUpdateOperands&);

}  // namespace ito::kernels
