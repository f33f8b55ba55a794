#include "model/diffusion/sampler_plan.h"

#include <cstdio>

#include "kernels/base/options.h"

namespace ito::model {

Clip Clip::parse(const std::string& text) {
  if (text == "none") return {Kind::none};
  if (text == "static") return {Kind::fixed};
  if (text == "image") return {Kind::image};
  double quantile = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%lf%c", &quantile, &rest) != 1 || !(quantile > 0 && quantile <= 1))
    fail_value("clip", "none, static, image or a quantile above 0 and at most 1", text);
  return {Kind::dynamic, quantile};
}

std::string Clip::text() const {
  switch (kind) {
    case Kind::none:
      return "none";
    case Kind::fixed:
      return "static";
    case Kind::image:
      return "image";
    case Kind::dynamic:
      return shortest_text(quantile);
  }
  fail("a kind of clipping is missing here");
}

SamplerPlan with_clipped_image_alone(const SamplerPlan& plan) {
  SamplerPlan result = plan;
  for (Stage& stage : result.stages) {
    Update& update = stage.update;
    if (stage.corrects || stage.from_start || update.terms() > 1)
      fail("a clipped image alone is for steps of one evaluation");
    update.b[0] += update.a, update.b_raw = -update.a;
  }
  return result;
}

SamplerPlan with_corrector(const SamplerPlan& plan, int corrections, double snr) {
  if (corrections < 0 || !(snr >= 0))
    fail(cat("a corrector takes 0 steps or more and a signal-to-noise ratio of 0 or more, not ", corrections,
             " and ", snr));
  SamplerPlan corrected = plan;
  corrected.stages.clear();
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    if (stage.from_start || stage.noise_before != 0)
      fail("a corrector goes before steps of one evaluation, without churn");
    const double next = i + 1 < plan.stages.size() ? plan.stages[i + 1].level.mean : 1;
    Stage correction;
    correction.level = stage.level, correction.corrects = true;
    correction.langevin = {snr, (stage.level.mean / next) * (stage.level.mean / next)};
    corrected.stages.insert(corrected.stages.end(), size_t(corrections), correction);
    corrected.stages.push_back(stage);
  }
  return corrected;
}

}  // namespace ito::model
