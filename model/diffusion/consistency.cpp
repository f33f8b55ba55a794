#include "model/diffusion/consistency.h"

#include <algorithm>
#include <cmath>

#include "model/diffusion/schedule.h"

namespace ito::model {

int consistency_stage(const ConsistencyOptions& o, int64_t step, int64_t steps) {
  if (steps < 1 || step < 0) fail(cat("step ", step, " of ", steps, " is in no stage"));
  return int(std::min<int64_t>(o.stages - 1, int64_t(double(step) / double(steps) * o.stages)));
}

double lower_level(const ConsistencyOptions& o, int stage, double sigma) {
  const double gap = std::pow(o.ratio, -(stage + 1)) * (1 + o.near / (1 + std::exp(o.slope * sigma)));
  return std::max(0.0, sigma * (1 - gap));
}

void ConsistencyPoint::write_lower(kernels::SampleRecipe& recipe) const {
  TrainingPoint lower;
  lower.input_x0 = lower_x0, lower.input_z = lower_z;
  lower.write_to(recipe);
}

ConsistencyPoint consistency_point(const Objective& objective, const ConsistencyOptions& options,
                                   const NoiseLevel& upper, double r) {
  const Scaling at = objective.preconditioning.at(upper);
  ConsistencyPoint point;
  point.upper = objective.at(upper);
  // lambda weights (sigma s)^-2 |D - x_0|^2.
  const double of_score = upper.sigma * upper.stddev;
  point.upper.loss_weight = std::pow(objective.lambda(upper) / (of_score * of_score), options.weight_power);
  point.scale = at.c_out * at.c_out;
  if (r < edm_range(objective.sde).least) return point;  // less noise than the model has seen: the image
  const Scaling below = objective.preconditioning.at(objective.sde.at_sigma(r));
  point.lower_x0 = below.c_in, point.lower_z = below.c_in * r, point.lower_c_noise = below.c_noise;
  point.share = below.c_out / at.c_out;
  // c_out target = x_0 - c_skip x at either level, so that D' enters as the lower level's error: x_0 cancels.
  point.upper.target_x0 -= point.share * below.target_x0;
  point.upper.target_z -= point.share * below.target_z;
  return point;
}

}  // namespace ito::model
