#pragma once

#include <limits>
#include <string_view>
#include <vector>

#include "model/diffusion/sde.h"
#include "model/diffusion/steps.h"

/// A sampler with a fixed number of steps is a list of stages: at each one the denoiser is asked once and the
/// state updated linearly. One loop runs them all, so a new sampler (ancestral, DDIM, DPM-Solver++) is one
/// function that makes a list:
///
///   x = prior_sigma z
///   for each stage:  x += noise_before z;  unless from_start: start = x
///                    D_0 = D(x; level.sigma), while D_1 and D_2 are the two answers before it
///                    x = a start + sum_k b[k] D_k + c z
///
/// The state is xbar = x_t / a(t) = x_0 + sigma z for every SDE, as in EDM, and in the end the image itself.
namespace ito::model {

struct Stage {
  NoiseLevel level;         // where the denoiser is asked (after noise_before)
  double noise_before = 0;  // EDM's churn. A stage draws noise once at most: noise_before or update.c is 0
  bool from_start = false;  // the second half of a step: the update starts where the first half did
  Update update;
};

struct SamplerPlan {
  double prior_sigma = 0;
  std::vector<Stage> stages;

  /// Denoiser evaluations per image.
  int evaluations() const { return int(stages.size()); }
};

/// What Euler-Maruyama does with its last evaluation, at t = sampling_end().
enum class FinalStep {
  denoise,  // returns D, the denoised image (the default)
  mean,     // a step without its noise, as in the founding repository
  noisy,    // a step like the others
};

struct EulerMaruyamaOptions {
  int steps = 1000;  // evaluations
  FinalStep final_step = FinalStep::denoise;
};

/// Reverse time by Euler-Maruyama on uniform_times(steps, sampling_end()): steps - 1 updates and a last one.
SamplerPlan euler_maruyama_plan(const Sde&, const EulerMaruyamaOptions&);

/// Algorithm 2 of arXiv:2206.00364; algorithm 1 where churn is 0. 2 steps - 1 evaluations.
struct HeunOptions {
  int steps = 18;
  double sigma_min = 0.002, sigma_max = 80, rho = 7;
  double churn = 0, churn_min = 0, churn_max = std::numeric_limits<double>::infinity(), churn_noise = 1;
};

/// EDM's range [.002, 80] cut to the SDE's own, [sigma(0), sigma(1)]: a network is not asked about levels
/// that it has never seen.
HeunOptions heun_options(const Sde&, int steps = 18);

/// The SDE only translates sigma into the levels that the network's condition needs.
SamplerPlan heun_plan(const Sde&, const HeunOptions&);

/// Names: denoise, mean, noisy. Unknown: an error with the nearest.
FinalStep parse_final_step(std::string_view name);
std::string_view name_of(FinalStep);

/// The samplers with their default options: euler-maruyama, heun. Unknown: an error with the nearest.
SamplerPlan make_sampler_plan(std::string_view name, const Sde&, int steps);

}  // namespace ito::model
