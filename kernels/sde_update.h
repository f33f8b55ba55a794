#pragma once

#include "kernels/dtype.h"
#include "kernels/philox.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// One step of any sampler whose update is linear in what it has evaluated (all of them are): at most three
/// terms.
inline constexpr int kMaxSdeTerms = 3;

/// x' = a x + sum_k b[k] f_k + c z, and the network's next input next_scale * x'.
/// f_k: denoised images (or any [N,D] tensors, guidance's two halves included); z ~ N(0,1).
struct SdeCoefficients {
  float a = 1;
  float b[kMaxSdeTerms] = {0, 0, 0};
  float c = 0;
  float next_scale = 1;
};

struct SdeUpdateDims {
  int n;            // images
  int per_image;    // elements of an image, D = H*W*C
  int terms;        // how many f_k are given, 0..kMaxSdeTerms
  Purpose purpose;  // of the noise
  uint32_t step;    // of the noise: the sampler's step number
};

/// x, f_k, x_out [N,D] f32 (f64 if x is; then z is the same f32 number widened); next_in (may be null) f32 or
/// bf16. seeds [N] u64: element e of image n is disturbed by element e of the stream (seeds[n], purpose,
/// step, sample 0), so an image depends on its seed alone, whatever N is. No noise is drawn where c = 0.
/// x_out may be x itself. Euler-Maruyama for dt > 0, x <- x - [f - g^2 s] dt + g sqrt(dt) z, is one such
/// update: see model/diffusion/steps.h.
void sde_update(CpuStream&, const SdeUpdateDims&, const SdeCoefficients&, In x, const In (&f)[kMaxSdeTerms],
                const uint64_t* seeds, Out x_out, Out next_in);
void sde_update(CudaStream&, const SdeUpdateDims&, const SdeCoefficients&, In x, const In (&f)[kMaxSdeTerms],
                const uint64_t* seeds, Out x_out, Out next_in);

}  // namespace ito::kernels
