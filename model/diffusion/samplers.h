#pragma once

#include <limits>
#include <vector>

#include "kernels/base/names.h"
#include "model/diffusion/sampler_plan.h"

/// Every sampler, as a function from the levels at which it evaluates the denoiser (falling; schedule.h) to a plan. The
/// last step goes to sigma = 0, which is the denoised image D itself unless stated otherwise.
namespace ito::model {

using Levels = std::vector<NoiseLevel>;

/// What the reverse SDE's samplers, and DDIM on a table, do with their last evaluation.
enum class FinalStep : uint8_t {
  denoise,  // return D, the denoised image
  mean,     // a step without its noise, as in score_sde
  noisy,    // a step like the others
  first_level,  // DDIM: a step to the table's index 0, whose x_t is the image (diffusers without set_alpha_to_one)
};

/// The reverse SDE by Euler-Maruyama (steps.h). The step after the last level, where it is taken, is as long as the one
/// before it.
SamplerPlan euler_maruyama_plan(const Sde&, const Levels&, FinalStep);

/// The reverse SDE, discretised as its forward chain is (steps.h). Error: sub-VP has no such chain.
SamplerPlan reverse_diffusion_plan(const Sde&, const Levels&, FinalStep);

/// Whose variance an ancestral step has: the posterior's, or the forward chain's (DDPM's beta-tilde and beta).
enum class Variance : uint8_t { small, large };

/// Ancestral sampling. Error: a large variance without VP.
SamplerPlan ancestral_plan(const Sde&, const Levels&, Variance);

/// DDIM: between the probability flow (eta 0) and ancestral sampling (eta 1).
SamplerPlan ddim_plan(const Levels&, double eta);
/// The same on a table, with FinalStep::first_level.
SamplerPlan ddim_to_first_level_plan(const NoiseTable&, const Levels&, double eta);

/// EDM's stochasticity (arXiv:2206.00364, algorithm 2): noise that raises sigma by the factor 1 + min(amount / steps,
/// sqrt(2) - 1) before each step whose sigma is within least .. most, its deviation multiplied by `noise`.
struct Churn {
  double amount = 0, least = 0, most = std::numeric_limits<double>::infinity(), noise = 1;
};

/// The probability flow by Euler: one evaluation a step. The SDE only translates sigma into the levels that the
/// network's condition needs, here and below.
SamplerPlan euler_plan(const Sde&, const Levels&, const Churn&);
/// EDM's sampler, the probability flow by Heun: 2 evaluations a step, 1 in the last; second order.
SamplerPlan heun_plan(const Sde&, const Levels&, const Churn&);

/// Multistep consistency sampling (arXiv:2303.01469, algorithm 1): from each level a jump to the image, and noise again
/// up to the next one: x' = D(x; sigma) + sqrt(sigma'^2 - boundary^2) z. D is the image itself at `boundary`.
SamplerPlan consistency_plan(const Levels&, double boundary);

/// Multistep samplers, which evaluate the denoiser once a step and use its results at earlier ones.
struct Multistep {
  int order = 2;
  double eta = 0;  // of DPM-Solver++: 0 is the probability flow, 1 the reverse SDE
  bool lower_order_final =
      false;  // as diffusers has it: a step never has a higher order than steps are left, which
              // DPM-Solver++ does with fewer than 15 steps
};

/// DPM-Solver++ (arXiv:2211.01095) of order 2 or 3, and its SDE form with eta > 0 (as k-diffusion has it). The first
/// steps have the order that the denoised images so far allow. With h = ln(sigma / sigma'), xbar's steps are
///   x' = sigma'/sigma e^(-eta h) x + sum of b_k D_k + sigma' sqrt(1 - e^(-2 eta h)) z.
/// The third order is as published, with half of Taylor's weight in its last term: it converges with order 2, and is
/// better than the whole weight where steps are few.
SamplerPlan dpm_solver_plan(const Levels&, const Multistep&);

/// UniPC (arXiv:2302.04867) with B(h) = e^h - 1 on denoised images, of order 2 or 3: a predictor's result is
/// corrected by the evaluation that the next step begins with. Correction and next prediction are one update of the
/// predicted state.
SamplerPlan unipc_plan(const Levels&, const Multistep&);

}  // namespace ito::model

template <>
struct ito::Names<ito::model::FinalStep> {
  using FinalStep = model::FinalStep;
  static constexpr std::string_view kKind = "final step";
  static constexpr Named<FinalStep> kTable[] = {{"denoise", FinalStep::denoise},
                                                {"mean", FinalStep::mean},
                                                {"noisy", FinalStep::noisy},
                                                {"first-level", FinalStep::first_level}};
};

template <>
struct ito::Names<ito::model::Variance> {
  using Variance = model::Variance;
  static constexpr std::string_view kKind = "variance";
  static constexpr Named<Variance> kTable[] = {{"small", Variance::small}, {"large", Variance::large}};
};
