#include "model/diffusion/preconditioning.h"

#include "kernels/base/names.h"

namespace ito::model {
namespace {

double c_noise(const Preconditioning& p, const NoiseLevel& level) {
  switch (p.condition) {
    case NoiseCondition::quarter_log_sigma:
      return 0.25 * std::log(level.sigma);
    case NoiseCondition::log_sigma:
      return std::log(level.sigma);
    case NoiseCondition::time:
      return level.t;
    case NoiseCondition::time_999:
      return 999 * level.t;
    case NoiseCondition::index:
      return p.last_index * level.t;
    case NoiseCondition::log_sigma_250:
      return 250 * std::log(level.sigma);
  }
  fail("a noise condition is missing here");
}

/// {c_skip, c_out, c_in, c_noise, target_x0, target_z}. The targets are written out rather than derived as
/// (x_0 - c_skip xbar) / c_out, where 1 - c_skip would cancel at small sigma.
Scaling scaling(const Preconditioning& p, const NoiseLevel& level, double c_noise) {
  const double sigma = level.sigma, data = p.sigma_data;
  const double unit = 1 / std::hypot(1, sigma), edm = 1 / std::hypot(data, sigma);
  switch (p.prediction) {
    case Prediction::edm:
      return {data * edm * data * edm, sigma * data * edm, edm, c_noise, sigma / data * edm, -data * edm};
    case Prediction::score:
      return {1, sigma * level.stddev, level.mean, c_noise, 0, -1 / level.stddev};
    case Prediction::score_scaled:
      return {1, sigma, level.mean, c_noise, 0, -1};
    case Prediction::noise:
      return {1, -sigma, unit, c_noise, 0, 1};
    case Prediction::x0:
      return {0, 1, unit, c_noise, 1, 0};
    case Prediction::v:
      return {unit * unit, -sigma * unit, unit, c_noise, -sigma * unit, unit};
    case Prediction::consistency: {
      const double beyond = sigma - p.boundary_sigma, near = 1 / std::hypot(data, beyond);
      const double c_skip = data * near * data * near, c_out = beyond * data * edm;
      return {c_skip, c_out, edm, c_noise, beyond * near * near / (data * edm), -c_skip * sigma / c_out};
    }
  }
  fail("a prediction is missing here");
}

}  // namespace

Scaling Preconditioning::at(const NoiseLevel& level) const {
  if (!(sigma_data > 0))
    fail(cat("sigma_data, the pixels' standard deviation, must be above 0, not ", sigma_data));
  if (!(level.sigma > 0)) fail(cat("a noise level needs sigma > 0, not ", level.sigma));
  return scaling(*this, level, c_noise(*this, level));
}

}  // namespace ito::model
