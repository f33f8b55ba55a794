#pragma once

#include "kernels/sde_update.h"

namespace ito::kernels {

/// One step of the Langevin corrector, as numbers in the device's memory, like SdeStep.
struct LangevinStep {
  SdeNetwork network, guide;
  float guidance = 1;       // D_0 = D_guide + guidance (D_network - D_guide), where there is a guide
  float alpha = 1;          // 1, or the predictor's alpha_t for VP
  float snr = 0;            // the signal-to-noise ratio that the step aims at; 0: nothing moves
  float sigma = 1;          // s/a, the noise level of x
  uint32_t noise_step = 0;  // which noise: the step number in its stream
};

struct LangevinDims {
  int n;                     // images
  int per_image;             // elements of an image, D = H*W*C
  bool batch_norms = false;  // r is the ratio of the norms' means over the images, as in score_sde
};

/// All [N,D] f32 unless stated otherwise (f64 if `x` is, on the CPU; the noise is then the same f32 number, converted).
/// The networks are those of SdeUpdateOperands.
struct LangevinOperands {
  In x;                                    // the state, where the networks were asked
  SdeNetworkOperands network, guide = {};  // guide: only where there is one
  In limit = {};                           // of D_0, as sde_update's; [N], may be null
  const uint64_t* seeds;                   // [N]
  Out norms;                               // [N,2] of x's dtype: |z|^2 and |D_0 - x|^2
  Out x_out = {};                          // x'; may be x. langevin_norms does not need it
};

/// The corrector of predictor-corrector sampling (arXiv:2011.13456, algorithms 4 and 5) for xbar = x_t / a:
///   r = |z| / |D_0 - x|, with Euclidean norms of an image
///   x' = x + 2 alpha (snr r sigma)^2 (D_0 - x) + 2 sqrt(alpha) snr r sigma^2 z
/// which are the paper's x_t <- x_t + e score + sqrt(2 e) z and e = 2 alpha (snr |z| / |score|)^2, where
/// score = (D_0 - x) / (a sigma^2). Two launches: langevin_norms writes `norms`, summed in f64 in a fixed order, and
/// langevin_update reads them and writes x' and the networks' next inputs. Element e of image n is disturbed by
/// element e of the stream (seeds[n], corrector_noise, noise_step, sample 0), so without batch_norms an image depends
/// on its seed alone. Where snr = 0 or D_0 = x, x' has the bits of x. A NaN in D_0 makes its image NaN, with
/// batch_norms all images.
void langevin_norms(CpuStream&, const LangevinDims&, const LangevinStep* step, const LangevinOperands&);
void langevin_norms(CudaStream&, const LangevinDims&, const LangevinStep* step, const LangevinOperands&);
void langevin_update(CpuStream&, const LangevinDims&, const LangevinStep* step, const LangevinOperands&);
void langevin_update(CudaStream&, const LangevinDims&, const LangevinStep* step, const LangevinOperands&);

/// Error: dims and operands that do not fit together.
void check_langevin(const LangevinDims&, const LangevinOperands&);
/// The same, and x' must be there.
void check_langevin_update(const LangevinDims&, const LangevinOperands&);

}  // namespace ito::kernels
