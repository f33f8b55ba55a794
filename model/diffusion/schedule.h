#pragma once

#include <vector>

#include "kernels/base/names.h"
#include "model/diffusion/sde.h"

namespace ito::model {

/// n points t_i = linspace(1, t_end, n), falling; {1} for n = 1. They stand for n evaluations: n - 1 steps
/// from point to point and a last one at t_end, for the final denoising. Errors: n < 1, t_end outside [0, 1).
std::vector<double> uniform_times(int n, double t_end);

/// n levels from sigma_max to sigma_min, evenly spaced in sigma^(1/rho), and a final 0: n + 1 numbers.
/// Errors: n < 1, not 0 < sigma_min < sigma_max, rho <= 0. Source: arXiv:2206.00364, eq. 5.
std::vector<double> karras_sigmas(int n, double sigma_min, double sigma_max, double rho = 7);

/// n levels from which a consistency model jumps, falling from `most`.
std::vector<double> consistency_sigmas(int n, double most);

/// Where a sampler evaluates the denoiser: evenly spaced in
enum class Grid : uint8_t {
  uniform,      // t, from 1 to the SDE's sampling_end()
  quadratic,    // sqrt(t), over the same range (DDIM, arXiv:2010.02502)
  log_snr,      // ln sigma, over the same range (DPM-Solver, arXiv:2206.00927)
  karras,       // sigma^(1/rho), over EDM's range of noise (arXiv:2206.00364)
  exponential,  // ln sigma, over EDM's range
  // Indices of a table of T levels, as diffusers spaces its timesteps:
  leading,   // every (T / n)-th from `offset` on, so that the noisiest is left out (DDIM's own)
  linspace,  // from T - 1 to 0, rounded
  trailing,  // from T - 1 down by T / n, rounded
};

/// The least and the most noise that a sampler visits.
struct SigmaRange {
  double least, most;
};
/// EDM's range [.002, 80], cut to the SDE's own [sigma(0), sigma(1)]: a network is never evaluated at levels that
/// it has not seen.
SigmaRange edm_range(const Sde&);

/// Whether a grid visits indices of a table, and no levels between.
constexpr bool is_of_table(Grid grid) { return grid >= Grid::leading; }

/// The indices, falling, of n levels of T. Error: a grid without any; n is not from 1 to T; the offset leads beyond T.
std::vector<int> table_indices(Grid, int n, int levels, int offset = 0);

/// What a grid needs besides its number of levels.
struct GridOptions {
  double rho = 7;  // of karras
  int offset = 0;  // of leading
};
/// n levels of a grid, from the most noise to the least. Errors as above; a grid of a table without one.
std::vector<NoiseLevel> noise_levels(const Sde&, Grid, int n, const GridOptions& options = {});

}  // namespace ito::model

template <>
struct ito::Names<ito::model::Grid> {
  using Grid = model::Grid;
  static constexpr std::string_view kKind = "grid of noise levels";
  static constexpr Named<Grid> kTable[] = {{"uniform", Grid::uniform},         {"karras", Grid::karras},
                                           {"quadratic", Grid::quadratic},     {"log-snr", Grid::log_snr},
                                           {"exponential", Grid::exponential}, {"leading", Grid::leading},
                                           {"linspace", Grid::linspace},       {"trailing", Grid::trailing}};
};
