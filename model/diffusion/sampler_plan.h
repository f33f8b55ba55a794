#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/diffusion/sde.h"
#include "model/diffusion/steps.h"

/// A sampler with a fixed number of steps is a list of stages. At each one the denoiser is evaluated once and the state
/// updated linearly, so one loop and one kernel run every sampler:
///
///   x = prior_sigma z
///   for each stage:  x += noise_before z;  unless from_start: start = x
///                    D_0 = D(x; level.sigma), while D_1, D_2 and D_3 are the denoised images before it
///                    x = a start + sum_k b[k] D_k + b_raw D_0' + c z,  D_0' as D_0, but never clipped
///
/// The state is xbar = x_t / a(t) = x_0 + sigma z for every SDE, as in EDM, and in the end the image itself.
///
/// One kind of stage is not linear, as its step depends on the state's norms: Langevin's corrector
/// (kernels/langevin.h), which stays at its level and leaves D_1 .. D_3 as they are. A sampler whose steps depend on
/// their own errors is no list at all, but a FlowPlan.
namespace ito::model {

/// A step of the corrector: 2 alpha (snr |z| / |score|)^2 (arXiv:2011.13456, algorithms 4 and 5).
struct Langevin {
  double snr = 0.16, alpha = 1;
};

struct Stage {
  NoiseLevel level;         // where the denoiser is evaluated (after noise_before)
  double noise_before = 0;  // EDM's churn. A stage draws noise once at most: noise_before or update.c is 0
  bool from_start = false;  // the second half of a step: the update starts where the first half did
  Update update;
  bool corrects = false;  // a Langevin step instead of the update
  Langevin langevin = {};
};

/// What is done with a denoised image before it is used: nothing, cut to [-1, 1], or dynamic thresholding
/// (arXiv:2205.11487) at a quantile of its magnitudes. image: the image alone is cut, and the direction of the noise is
/// still that of the uncut one, as diffusers' DDIM has it.
struct Clip {
  enum class Kind : uint8_t { none, fixed, image, dynamic } kind = Kind::none;
  double quantile = 0.995;
  /// "none", "static", "image", "0.995". Error: anything else.
  static Clip parse(const std::string& text);
  std::string text() const;
};

/// The probability flow from the level `most` to `least`, where the denoised image is the result, with steps as long as
/// an error within `tolerance` allows (kernels/rk45.h).
struct FlowPlan {
  Sde sde;
  double tolerance = 1e-5;
  NoiseLevel most, least;
};

struct SamplerPlan {
  double prior_sigma = 0;
  std::vector<Stage> stages;
  std::optional<FlowPlan> flow = {};  // instead of stages
  Clip clip = {};
  bool batch_norms =
      false;              // a corrector's norms are means over the images sampled together, as in score_sde
  std::string name = {};  // of the sampler, for errors

  /// Denoiser evaluations per image; 0 where they are not known beforehand.
  int evaluations() const { return int(stages.size()); }
};

/// The plan of a flow, or of DDIM, whose steps are a (x - D) + (a + b) D, for Clip::Kind::image: the second D is cut,
/// the first one is not.
SamplerPlan with_clipped_image_alone(const SamplerPlan&);

/// Before each step of the plan, `corrections` steps of Langevin's corrector at the step's level, as score_sde's
/// predictor-corrector samplers have it. alpha is 1 where f = 0 and (a_i / a_{i+1})^2 under VP and sub-VP.
SamplerPlan with_corrector(const SamplerPlan&, int corrections, double snr);

}  // namespace ito::model
