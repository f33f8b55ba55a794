#pragma once

#include "kernels/sde_update.h"
#include "model/diffusion/sde.h"

/// The arithmetic of single sampler steps. Each is linear in the state and in what the denoiser answered, so
/// a step is a handful of numbers, and one kernel applies them all (kernels/sde_update.h).
namespace ito::model {

/// x' = a x + sum_k b[k] D_k + b_raw D_0' + c z, z ~ N(0, I); D_0 is the newest denoised image, D_1, D_2, D_3 those
/// before, D_0' the newest one before it is clipped.
struct Update {
  static constexpr int kTerms = 1 + kernels::kSdeHistory;
  double a = 1;
  double b[kTerms] = {};
  double b_raw = 0;
  double c = 0;

  /// How many of b are in use: up to the last one that is not 0.
  int terms() const;
  /// a, b, b_raw and c rounded to f32 for the kernel.
  void write_to(kernels::SdeStep&) const;
};

/// A step for the state x, as one for x / mean: mean is mean_before before the step, mean_after after it.
Update rescaled(const Update&, double mean_before, double mean_after);

/// Euler-Maruyama for the reverse SDE, from t to t - dt with dt > 0, the state being x_t itself:
///   x <- x - [f x - g^2 score] dt + g sqrt(dt) z,  score = (a D - x) / s^2, D = D(x / a; s / a).
/// The specification writes x + [f - g^2 score] dt, which holds for dt < 0 (docs/diffusion.md).
Update euler_maruyama(const Sde&, const NoiseLevel& at, double dt);

/// Euler's step of the probability flow dx/dsigma = (x - D) / sigma, Heun's first half, for the state xbar:
///   x' = x + (to - from) d,  d = (x - D_0) / from.
/// to = 0 gives x' = D_0. Source: arXiv:2206.00364, algorithm 1, lines 4 and 5.
Update flow_euler(double from, double to);

/// Heun's second half, applied to the state x at `from` as the first half was:
///   x' = x + (to - from) (d + d') / 2,  d = (x - D_1) / from,  d' = (y - D_0) / to,
/// where y is the first half's result, D_0 = D(y; to), D_1 = D(x; from). Needs to > 0. Source: lines 7 and 8.
Update flow_heun(double from, double to);

/// A step of the reverse chain whose forward chain has the SDE's marginals at the two levels (arXiv:2011.13456,
/// appendix E): where f = 0, x' = x + (from^2 - to^2) score + sqrt(from^2 - to^2) z; under VP, where `vp`,
///   x'_t = (2 - sqrt(1 - beta)) x_t + beta score + sqrt(beta) z,  beta = 1 - (a_from / a_to)^2.
/// to with sigma = 0 is the image itself.
Update reverse_diffusion(const NoiseLevel& from, const NoiseLevel& to, bool vp);

/// DDIM's step (arXiv:2010.02502, eq. 12), which in the coordinates xbar is the same for every SDE:
///   x' = D_0 + down (x - D_0) / from + up z,  up = eta to sqrt(from^2 - to^2) / from,  down^2 = to^2 - up^2.
/// eta 0 is a step of the probability flow, flow_euler; eta 1 is the exact posterior q(x' | x, x_0 = D_0), which is
/// ancestral sampling: DDPM's under VP (the smaller of its variances), SMLD's under VE.
Update ancestral(double from, double to, double eta);

/// DDPM's ancestral step with the larger variance, beta = 1 - (a_from / a_to)^2 (arXiv:2006.11239, section 3.2); VP.
Update ancestral_large(const NoiseLevel& from, const NoiseLevel& to);

}  // namespace ito::model
