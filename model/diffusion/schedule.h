#pragma once

#include <vector>

namespace ito::model {

/// n points t_i = linspace(1, t_end, n), falling; {1} for n = 1. They stand for n evaluations: n - 1 steps
/// from point to point and a last one at t_end, for the final denoising. Errors: n < 1, t_end outside (0, 1).
std::vector<double> uniform_times(int n, double t_end);

/// n levels from sigma_max to sigma_min, evenly spaced in sigma^(1/rho), and a final 0: n + 1 numbers.
/// Errors: n < 1, not 0 < sigma_min < sigma_max, rho <= 0. Source: arXiv:2206.00364, eq. 5.
std::vector<double> karras_sigmas(int n, double sigma_min, double sigma_max, double rho = 7);

}  // namespace ito::model
