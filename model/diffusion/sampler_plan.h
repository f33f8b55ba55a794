#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "model/diffusion/sde.h"
#include "model/diffusion/steps.h"

/// A sampler with a fixed number of steps is a list of stages: at each one the denoiser is asked once and the
/// state updated linearly. One loop runs them all, so a new sampler (ancestral, DDIM, DPM-Solver++) is one
/// function that makes a list:
///
///   x = prior_sigma z
///   for each stage:  x += noise_before z;  unless from_start: start = x
///                    D_0 = D(x; level.sigma), while D_1, D_2 and D_3 are the denoised images before it
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

inline constexpr Range kSamplerSteps = from(1).to(1000000);

/// What Euler-Maruyama does with its last evaluation, at t = sampling_end().
enum class FinalStep {
  denoise,  // returns D, the denoised image (the default)
  mean,     // a step without its noise, as in score_sde
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
  double sigma_min = Ve{}.sigma_min, sigma_max = Ve{}.sigma_max, rho = 7;
  double churn = 0, churn_min = 0, churn_max = std::numeric_limits<double>::infinity(), churn_noise = 1;
};

/// EDM's range [.002, 80] cut to the SDE's own, [sigma(0), sigma(1)]: a network is not asked about levels
/// that it has never seen.
HeunOptions heun_options(const Sde&, int steps = HeunOptions{}.steps);

/// The SDE only translates sigma into the levels that the network's condition needs.
SamplerPlan heun_plan(const Sde&, const HeunOptions&);

enum class SamplerKind : uint8_t { euler_maruyama, heun };

/// How a trained model is sampled: what ./sample and ./evaluate let a user choose.
struct SamplerOptions {
  SamplerKind sampler = SamplerKind::euler_maruyama;
  int steps = EulerMaruyamaOptions{}.steps;
};

template <FieldsOf<SamplerOptions> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.sampler,
        Field("sampler",
              "the reverse SDE by Euler-Maruyama, or EDM's probability flow by Heun, good from 18 steps"));
  visit(o.steps, Field("steps", "sampler steps", kSamplerSteps));
}

/// The sampler with the default options of its kind.
SamplerPlan make_sampler_plan(const SamplerOptions& options, const Sde& sde);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::FinalStep> {
  using FinalStep = model::FinalStep;
  static constexpr std::string_view kKind = "final step";
  static constexpr Named<FinalStep> kTable[] = {
      {"denoise", FinalStep::denoise}, {"mean", FinalStep::mean}, {"noisy", FinalStep::noisy}};
};

template <>
struct ito::Names<ito::model::SamplerKind> {
  using SamplerKind = model::SamplerKind;
  static constexpr std::string_view kKind = "sampler";
  static constexpr Named<SamplerKind> kTable[] = {{"euler-maruyama", SamplerKind::euler_maruyama},
                                                  {"heun", SamplerKind::heun}};
};
