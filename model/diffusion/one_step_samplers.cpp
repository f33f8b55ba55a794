#include <algorithm>
#include <cmath>
#include <variant>

#include "kernels/base/error.h"
#include "model/diffusion/samplers.h"

namespace ito::model {
namespace {

/// What comes after the last level: the image itself.
const NoiseLevel kImage{0, 1, 0, 0};

Update denoised() {
  Update update;
  update.a = 0, update.b[0] = 1;
  return update;
}

/// A plan with one stage a level: step(i, from, to), to = kImage in the last one.
template <class Step>
SamplerPlan one_step_plan(const Levels& levels, Step step) {
  if (levels.empty()) fail("a sampler needs at least one noise level");
  SamplerPlan plan;
  plan.prior_sigma = levels[0].sigma;
  for (size_t i = 0; i < levels.size(); ++i) {
    Stage stage;
    stage.level = levels[i];
    stage.update = step(i, levels[i], i + 1 < levels.size() ? levels[i + 1] : kImage);
    plan.stages.push_back(stage);
  }
  return plan;
}

Update without_noise(Update update) {
  update.c = 0;
  return update;
}

/// sigma-hat of algorithm 2: the level after churn has added its noise.
double churned(double sigma, size_t steps, const Churn& churn) {
  if (sigma < churn.least || sigma > churn.most) return sigma;
  return sigma * (1 + std::min(churn.amount / double(steps), std::sqrt(2.0) - 1));
}

SamplerPlan flow_plan(const Sde& sde, const Levels& levels, const Churn& churn, bool heun) {
  if (!(churn.amount >= 0 && churn.noise >= 0))
    fail(cat("churn and its noise factor must not be negative, not ", churn.amount, " and ", churn.noise));
  if (levels.empty()) fail("a sampler needs at least one noise level");
  SamplerPlan plan;
  plan.prior_sigma = levels[0].sigma;
  for (size_t i = 0; i < levels.size(); ++i) {
    const double sigma = levels[i].sigma, from = churned(sigma, levels.size(), churn);
    const NoiseLevel to = i + 1 < levels.size() ? levels[i + 1] : kImage;
    Stage first;
    first.level = from == sigma ? levels[i] : sde.at_sigma(from);
    first.noise_before = churn.noise * std::sqrt((from - sigma) * (from + sigma));
    first.update = flow_euler(from, to.sigma);
    plan.stages.push_back(first);
    if (!heun || to.sigma == 0) continue;
    Stage second;
    second.level = to;
    second.from_start = true;
    second.update = flow_heun(from, to.sigma);
    plan.stages.push_back(second);
  }
  return plan;
}

}  // namespace

SamplerPlan euler_maruyama_plan(const Sde& sde, const Levels& levels, FinalStep final_step) {
  return one_step_plan(levels, [&](size_t i, const NoiseLevel& from, const NoiseLevel& to) {
    if (to.sigma != 0) return rescaled(euler_maruyama(sde, from, from.t - to.t), from.mean, to.mean);
    if (final_step == FinalStep::denoise) return denoised();
    const double dt = (i > 0 ? levels[i - 1].t : 1 + from.t - sde.sampling_end()) - from.t;
    const Update last = rescaled(euler_maruyama(sde, from, dt), from.mean, 1);
    return final_step == FinalStep::noisy ? last : without_noise(last);
  });
}

SamplerPlan reverse_diffusion_plan(const Sde& sde, const Levels& levels, FinalStep final_step) {
  if (std::holds_alternative<SubVp>(sde.equations()))
    fail_advising("reverse diffusion needs the SDE's forward chain, and sub-vp has none",
                  {"{sampler} euler-maruyama, which is what others call so"});
  return one_step_plan(levels, [&](size_t, const NoiseLevel& from, const NoiseLevel& to) {
    const Update step = reverse_diffusion(from, to, sde.preserves_variance());
    if (to.sigma != 0 || final_step == FinalStep::noisy) return step;
    return final_step == FinalStep::mean ? without_noise(step) : denoised();
  });
}

SamplerPlan ancestral_plan(const Sde& sde, const Levels& levels, Variance variance) {
  if (variance == Variance::large && !sde.preserves_variance())
    fail_advising("a large variance is DDPM's, and so of the SDEs vp and table alone", {"{variance} small"});
  return one_step_plan(levels, [&](size_t, const NoiseLevel& from, const NoiseLevel& to) {
    if (to.sigma == 0) return denoised();
    return variance == Variance::large ? ancestral_large(from, to) : ancestral(from.sigma, to.sigma, 1);
  });
}

SamplerPlan ddim_plan(const Levels& levels, double eta) {
  return one_step_plan(levels, [&](size_t, const NoiseLevel& from, const NoiseLevel& to) {
    return ancestral(from.sigma, to.sigma, eta);
  });
}

SamplerPlan ddim_to_first_level_plan(const NoiseTable& table, const Levels& levels, double eta) {
  const double first = table.sigma_at(0), mean = table.mean(0);
  return one_step_plan(levels, [&](size_t, const NoiseLevel& from, const NoiseLevel& to) {
    if (to.sigma != 0) return ancestral(from.sigma, to.sigma, eta);
    const Update step = from.t > 0 ? ancestral(from.sigma, first, eta) : Update{};
    return rescaled(step, 1, 1 / mean);  // the state is x_t / a, the image x_t
  });
}

SamplerPlan consistency_plan(const Levels& levels, double boundary) {
  return one_step_plan(levels, [&](size_t, const NoiseLevel&, const NoiseLevel& to) {
    Update update = denoised();
    if (to.sigma > boundary) update.c = std::sqrt((to.sigma - boundary) * (to.sigma + boundary));
    return update;
  });
}

SamplerPlan euler_plan(const Sde& sde, const Levels& levels, const Churn& churn) {
  return flow_plan(sde, levels, churn, false);
}

SamplerPlan heun_plan(const Sde& sde, const Levels& levels, const Churn& churn) {
  return flow_plan(sde, levels, churn, true);
}

}  // namespace ito::model
