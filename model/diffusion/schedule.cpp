#include "model/diffusion/schedule.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace ito::model {
namespace {

void check_count(int n) {
  if (n < 1) fail(cat("sampling needs at least 1 step, not ", n));
}

/// The level of the last jump of several.
constexpr double kLastJump = 0.8;

/// n numbers from `first` to `last`, evenly spaced, both of them exact.
std::vector<double> evenly(int n, double first, double last) {
  check_count(n);
  std::vector<double> points(static_cast<size_t>(n), first);
  for (int i = 1; i < n; ++i) points[size_t(i)] = first + (last - first) * i / (n - 1);
  if (n > 1) points.back() = last;
  return points;
}

template <class Transform>
std::vector<double> transformed(std::vector<double> points, double first, double last, Transform transform) {
  std::transform(points.begin(), points.end(), points.begin(), transform);
  points.front() = first;  // not rounded by the transform
  if (points.size() > 1) points.back() = last;
  return points;
}

std::vector<double> exponential_sigmas(int n, const SigmaRange& range) {
  return transformed(evenly(n, std::log(range.most), std::log(range.least)), range.most, range.least,
                     [](double x) { return std::exp(x); });
}

std::vector<double> quadratic_times(int n, double t_end) {
  return transformed(evenly(n, 1, std::sqrt(t_end)), 1, t_end, [](double root) { return root * root; });
}

}  // namespace

std::vector<double> uniform_times(int n, double t_end) {
  if (!(t_end >= 0 && t_end < 1)) fail(cat("a time grid ends inside [0, 1), not at ", t_end));
  check_count(n);
  std::vector<double> times(static_cast<size_t>(n), 1.0);
  for (int i = 1; i < n; ++i) times[size_t(i)] = 1 - (1 - t_end) * i / (n - 1);
  if (n > 1) times.back() = t_end;
  return times;
}

std::vector<double> consistency_sigmas(int n, double most) {
  check_count(n);
  return n == 1 ? std::vector<double>{most} : exponential_sigmas(n, {std::min(kLastJump, most / 2), most});
}

std::vector<double> karras_sigmas(int n, double sigma_min, double sigma_max, double rho) {
  check_count(n);
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

SigmaRange edm_range(const Sde& sde) {
  const SigmaRange own{sde.stddev(0) / sde.mean(0), sde.at(1).sigma};
  const SigmaRange range{std::max(Ve{}.sigma_min, own.least), std::min(Ve{}.sigma_max, own.most)};
  if (!(range.least < range.most))
    fail_advising(cat("EDM's range of noise, sigma .002 to 80, has none of this model's, ", own.least, " to ",
                      own.most),
                  {"{grid} log-snr, with a {sampler} that has one"});
  return range;
}

std::vector<int> table_indices(Grid grid, int n, int levels, int offset) {
  check_count(n);
  if (n > levels)
    fail_advising(cat("a table of ", levels, " noise levels has none for ", n, " steps"), {"fewer {steps}"});
  std::vector<int> indices;
  for (int i = n - 1; i >= 0; --i) {
    // Halves are rounded to even, as NumPy does.
    switch (grid) {
      case Grid::leading:
        indices.push_back(i * (levels / n) + offset);
        break;
      case Grid::linspace:
        indices.push_back(n == 1 ? 0 : int(std::nearbyint(double(levels - 1) * i / (n - 1))));
        break;
      case Grid::trailing:
        indices.push_back(int(std::nearbyint(levels - (n - 1 - i) * (double(levels) / n))) - 1);
        break;
      default:
        fail(cat("the grid ", name_of(grid), " has no indices of a table"));
    }
  }
  if (offset < 0 || indices.front() >= levels)
    fail_advising(cat("from ", offset, " on, ", n, " steps through a table of ", levels,
                      " levels end at index ", indices.front()),
                  {"a smaller {offset}", "fewer {steps}"});
  return indices;
}

std::vector<NoiseLevel> noise_levels(const Sde& sde, Grid grid, int n, const GridOptions& options) {
  std::vector<NoiseLevel> levels;
  const auto from_times = [&](const std::vector<double>& times) {
    for (double t : times) levels.push_back(sde.at(t));
  };
  const auto from_sigmas = [&](const std::vector<double>& sigmas) {
    for (double sigma : sigmas) levels.push_back(sde.at_sigma(sigma));
  };
  switch (grid) {
    case Grid::uniform:
      from_times(uniform_times(n, sde.sampling_end()));
      break;
    case Grid::quadratic:
      from_times(quadratic_times(n, sde.sampling_end()));
      break;
    case Grid::log_snr:
      from_sigmas(exponential_sigmas(n, {sde.at(sde.sampling_end()).sigma, sde.at(1).sigma}));
      break;
    case Grid::karras: {
      std::vector<double> sigmas = karras_sigmas(n, edm_range(sde).least, edm_range(sde).most, options.rho);
      sigmas.pop_back();
      from_sigmas(sigmas);
      break;
    }
    case Grid::exponential:
      from_sigmas(exponential_sigmas(n, edm_range(sde)));
      break;
    case Grid::leading:
    case Grid::linspace:
    case Grid::trailing:
      if (!sde.table())
        fail_advising(
            cat("the grid ", name_of(grid), " is of the indices of a table, and this model's SDE has none"),
            {"{grid} uniform"});
      for (int index : table_indices(grid, n, sde.table()->levels(), options.offset))
        levels.push_back(sde.at(sde.table()->time_at(index)));
      break;
  }
  return levels;
}

}  // namespace ito::model
