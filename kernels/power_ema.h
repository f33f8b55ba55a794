#pragma once

#include <cmath>

#include "kernels/adamw.h"

namespace ito::kernels {

/// Averages of all weights so far, in which those of update t weigh t^gamma: after update t
///   average += (1 - beta) (w - average),   beta = (1 - 1/t)^(gamma + 1).
/// Averages of two gammas, saved now and then, make those of any other gamma at any time afterwards
/// (model/training/power_average.h). Source: Karras et al., arXiv:2312.02696, section 3.1.
inline constexpr int kPowerAverages = 2;

/// Relative widths of the averages that a run keeps: deviations of t^gamma in units of the run's length.
inline constexpr double kPowerWidths[kPowerAverages] = {0.05, 0.10};

struct PowerEma {
  double gamma[kPowerAverages] = {};

  /// 1 - beta of update t, from 1: 1 at the first one, which copies.
  ITO_HOST_DEVICE double rest(int k, double t) const {
    return t <= 1 ? 1 : -expm1((gamma[k] + 1) * log1p(-1 / t));
  }
};

/// The gamma whose profile t^gamma over [0, 1] has this standard deviation: the positive root of
///   (gamma + 2)^2 (gamma + 3) sigma_rel^2 = gamma + 1.
/// Error: sigma_rel is not above 0 and below .288, the deviation of gamma = 0.
double power_gamma(double sigma_rel);

struct PowerEmaBuffers {
  const float* w;
  float* average[kPowerAverages];
};

/// Both averages of the weights that adamw_update has left; t is state->updates. Leaves them as they are where the step
/// was skipped.
void power_ema(CpuStream&, int64_t count, const PowerEma&, const StepState* state, const PowerEmaBuffers&);
void power_ema(CudaStream&, int64_t count, const PowerEma&, const StepState* state, const PowerEmaBuffers&);

/// Error: no parameters.
void check_power_ema(int64_t count);

}  // namespace ito::kernels
