#include "model/diffusion/sampler_plan.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/names.h"
#include "model/diffusion/schedule.h"

namespace ito::model {
namespace {

Update final_update(const Sde& sde, const NoiseLevel& level, double dt, FinalStep final_step) {
  Update update;
  if (final_step == FinalStep::denoise) {
    update.a = 0, update.b[0] = 1;
    return update;
  }
  update = rescaled(euler_maruyama(sde, level, dt), level.mean, 1);
  if (final_step == FinalStep::mean) update.c = 0;
  return update;
}

/// sigma-hat of algorithm 2: the level after churn has added its noise.
double churned(double sigma, const HeunOptions& o) {
  if (sigma < o.churn_min || sigma > o.churn_max) return sigma;
  return sigma * (1 + std::min(o.churn / o.steps, std::sqrt(2.0) - 1));
}

}  // namespace

SamplerPlan euler_maruyama_plan(const Sde& sde, const EulerMaruyamaOptions& o) {
  const std::vector<double> times = uniform_times(o.steps, sde.sampling_end());
  const double dt = (1 - sde.sampling_end()) / std::max(o.steps - 1, 1);
  SamplerPlan plan;
  plan.prior_sigma = sde.prior_stddev() / sde.mean(1);
  for (size_t i = 0; i < times.size(); ++i) {
    Stage stage;
    stage.level = sde.at(times[i]);
    stage.update = i + 1 < times.size() ? rescaled(euler_maruyama(sde, stage.level, dt), stage.level.mean,
                                                   sde.mean(times[i + 1]))
                                        : final_update(sde, stage.level, dt, o.final_step);
    plan.stages.push_back(stage);
  }
  return plan;
}

HeunOptions heun_options(const Sde& sde, int steps) {
  HeunOptions o;
  o.steps = steps;
  o.sigma_min = std::max(o.sigma_min, sde.stddev(0) / sde.mean(0));
  o.sigma_max = std::min(o.sigma_max, sde.at(1).sigma);
  return o;
}

SamplerPlan heun_plan(const Sde& sde, const HeunOptions& o) {
  if (!(o.churn >= 0 && o.churn_noise >= 0))
    fail(cat("churn and its noise factor must not be negative, not ", o.churn, " and ", o.churn_noise));
  const std::vector<double> sigmas = karras_sigmas(o.steps, o.sigma_min, o.sigma_max, o.rho);
  SamplerPlan plan;
  plan.prior_sigma = o.sigma_max;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = churned(sigmas[i], o), to = sigmas[i + 1];
    Stage first;
    first.level = sde.at_sigma(from);
    first.noise_before = o.churn_noise * std::sqrt((from - sigmas[i]) * (from + sigmas[i]));
    first.update = flow_euler(from, to);
    plan.stages.push_back(first);
    if (to == 0) continue;
    Stage second;
    second.level = sde.at_sigma(to);
    second.from_start = true;
    second.update = flow_heun(from, to);
    plan.stages.push_back(second);
  }
  return plan;
}

SamplerPlan make_sampler_plan(const SamplerOptions& o, const Sde& sde) {
  switch (o.sampler) {
    case SamplerKind::euler_maruyama:
      return euler_maruyama_plan(sde, {.steps = o.steps});
    case SamplerKind::heun:
      return heun_plan(sde, heun_options(sde, o.steps));
  }
  fail("a sampler is missing here");
}

}  // namespace ito::model
