#include "model/diffusion/noise_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/base/error.h"

namespace ito::model {
namespace {

constexpr int kMostLevels = 1000000;

/// i / (n - 1) of the way from `first` to `last`.
double between(double first, double last, int i, int n) { return first + (last - first) * i / (n - 1); }

double cosine_alpha_bar(double part) {
  const double root = std::cos((part + 0.008) / 1.008 * std::numbers::pi / 2);
  return root * root;
}

double beta_at(const NoiseTableOptions& o, int i) {
  const int n = o.levels;
  switch (o.schedule) {
    case BetaSchedule::linear:
      return between(o.beta_start, o.beta_end, i, n);
    case BetaSchedule::scaled_linear: {
      const double root = between(std::sqrt(o.beta_start), std::sqrt(o.beta_end), i, n);
      return root * root;
    }
    case BetaSchedule::cosine:
      return std::min(1 - cosine_alpha_bar(double(i + 1) / n) / cosine_alpha_bar(double(i) / n), 0.999);
    case BetaSchedule::sigmoid:
      return o.beta_start + (o.beta_end - o.beta_start) / (1 + std::exp(-between(-6, 6, i, n)));
    case BetaSchedule::listed:
      return o.betas[size_t(i)];
  }
  fail("a schedule of betas is missing here");
}

}  // namespace

std::vector<double> betas_of(const NoiseTableOptions& o) {
  if (o.levels < 2 || o.levels > kMostLevels)
    fail(cat("a table has from 2 to ", kMostLevels, " noise levels, not ", o.levels));
  if ((o.schedule == BetaSchedule::listed) == o.betas.empty() ||
      (!o.betas.empty() && int64_t(o.betas.size()) != o.levels))
    fail(cat("the schedule ", name_of(o.schedule), " of ", o.levels, " levels lists ", o.betas.size(),
             " betas: the schedule listed lists all, another one none"));
  std::vector<double> betas;
  for (int i = 0; i < o.levels; ++i) betas.push_back(beta_at(o, i));
  for (double beta : betas)
    if (!(beta > 0 && beta < 1)) fail(cat("every beta must be above 0 and below 1, one is ", beta));
  return betas;
}

NoiseTable::NoiseTable(const NoiseTableOptions& options) : options_(options) {
  std::vector<double> log_sigmas;
  double log_alpha_bar = 0;
  for (double beta : betas_of(options)) {
    log_alpha_bar += std::log1p(-beta);
    log_sigmas.push_back(0.5 * (std::log(-std::expm1(log_alpha_bar)) - log_alpha_bar));
  }
  log_sigmas_ = std::make_shared<const std::vector<double>>(std::move(log_sigmas));
}

double NoiseTable::sigma_at(int index) const { return std::exp(log_sigmas_->at(size_t(index))); }

size_t NoiseTable::piece_of(double t) const {
  constexpr double kRounding = 1e-9;  // an index whose t is rounded up still ends its piece
  return size_t(std::clamp(std::ceil(t * (levels() - 1) - kRounding) - 1, 0.0, double(levels() - 2)));
}

double NoiseTable::log_sigma(double t) const {
  const std::vector<double>& table = *log_sigmas_;
  const size_t i = piece_of(t);
  return table[i] + (table[i + 1] - table[i]) * (t * (levels() - 1) - double(i));
}

double NoiseTable::mean(double t) const { return 1 / std::hypot(1, std::exp(log_sigma(t))); }

double NoiseTable::stddev(double t) const { return 1 / std::hypot(1, std::exp(-log_sigma(t))); }

double NoiseTable::beta(double t) const {
  const std::vector<double>& table = *log_sigmas_;
  const size_t i = piece_of(t);
  const double s = stddev(t);
  return 2 * s * s * (table[i + 1] - table[i]) * (levels() - 1);
}

double NoiseTable::diffusion(double t) const { return std::sqrt(beta(t)); }

double NoiseTable::time_of(double sigma) const {
  const std::vector<double>& table = *log_sigmas_;
  const double wanted = std::log(sigma);
  const auto above = std::lower_bound(table.begin(), table.end(), wanted);
  const auto i = std::clamp<std::ptrdiff_t>(above - table.begin() - 1, 0, levels() - 2);
  const double low = table[size_t(i)], high = table[size_t(i) + 1];
  return (double(i) + (wanted - low) / (high - low)) / (levels() - 1);
}

}  // namespace ito::model
