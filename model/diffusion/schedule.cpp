#include "model/diffusion/schedule.h"

#include <cmath>

#include "kernels/base/error.h"

namespace ito::model {

std::vector<double> uniform_times(int n, double t_end) {
  if (n < 1) fail(cat("sampling needs at least 1 step, not ", n));
  if (!(t_end > 0 && t_end < 1)) fail(cat("a time grid ends inside (0, 1), not at ", t_end));
  std::vector<double> times(static_cast<size_t>(n), 1.0);
  for (int i = 1; i < n; ++i) times[size_t(i)] = 1 - (1 - t_end) * i / (n - 1);
  if (n > 1) times.back() = t_end;
  return times;
}

std::vector<double> karras_sigmas(int n, double sigma_min, double sigma_max, double rho) {
  if (n < 1) fail(cat("sampling needs at least 1 step, not ", n));
  if (!(sigma_min > 0 && sigma_max > sigma_min && rho > 0))
    fail(cat("a noise schedule needs 0 < sigma_min < sigma_max and rho > 0, not ", sigma_min, ", ", sigma_max,
             ", ", rho));
  const double first = std::pow(sigma_max, 1 / rho), last = std::pow(sigma_min, 1 / rho);
  std::vector<double> sigmas{sigma_max};
  for (int i = 1; i < n; ++i) sigmas.push_back(std::pow(first + (last - first) * i / (n - 1), rho));
  if (n > 1) sigmas.back() = sigma_min;
  sigmas.push_back(0);
  return sigmas;
}

}  // namespace ito::model
