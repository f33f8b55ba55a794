#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/base/names.h"

namespace ito::model {

/// How the beta_i, i = 0 .. T-1, of DDPM's chain q(x_i | x_{i-1}) = N(sqrt(1 - beta_i) x, beta_i I) are spaced, from
/// beta_start to beta_end.
enum class BetaSchedule : uint8_t {
  linear,         // beta (arXiv:2006.11239)
  scaled_linear,  // sqrt(beta) (latent diffusion)
  cosine,  // abar_i = f(i + 1) / f(0), f(i) = cos^2((i/T + .008) / 1.008 pi/2), beta <= .999 (arXiv:2102.09672)
  sigmoid,  // the logistic function of numbers from -6 to 6 (GeoDiff)
  listed,   // given one by one
};

/// Everything that names a table of noise levels in files; `betas` of the schedule listed alone.
struct NoiseTableOptions {
  BetaSchedule schedule = BetaSchedule::linear;
  int levels = 1000;
  double beta_start = 1e-4, beta_end = 0.02;
  std::vector<double> betas = {};

  bool operator==(const NoiseTableOptions&) const = default;
};

/// The betas. Error: not from 2 to a million levels; a beta that is not above 0 and below 1.
std::vector<double> betas_of(const NoiseTableOptions&);

/// DDPM's discrete chain as a forward process of its own: index i is at t = i / (T - 1), where
///   a^2 = abar_i = product of (1 - beta_j) for j <= i,  s^2 = 1 - abar_i,
/// and between the indices ln sigma is linear in t. So every sampler runs on it, and one that visits indices alone
/// meets the chain's own levels. f = -b/2, g^2 = b with b = 2 sigma^2 / (1 + sigma^2) d ln(sigma)/dt.
class NoiseTable {
 public:
  explicit NoiseTable(const NoiseTableOptions& options = {});
  const NoiseTableOptions& options() const { return options_; }

  int levels() const { return options_.levels; }
  double time_at(int index) const { return double(index) / (levels() - 1); }
  double sigma_at(int index) const;

  double mean(double t) const;
  double stddev(double t) const;
  double drift(double t) const { return -0.5 * beta(t); }
  double diffusion(double t) const;
  double prior_stddev() const { return 1; }
  /// The inverse of ln sigma; beyond the table's ends as the first and the last piece go on.
  double time_of(double sigma) const;
  /// The first level, index 0.
  double sampling_end() const { return 0; }

 private:
  /// The piece that ends at t or has t within.
  size_t piece_of(double t) const;
  double log_sigma(double t) const;
  double beta(double t) const;

  NoiseTableOptions options_;
  std::shared_ptr<const std::vector<double>>
      log_sigmas_;  // of each index; shared, since an Sde is copied freely
};

}  // namespace ito::model

template <>
struct ito::Names<ito::model::BetaSchedule> {
  using BetaSchedule = model::BetaSchedule;
  static constexpr std::string_view kKind = "schedule of betas";
  static constexpr Named<BetaSchedule> kTable[] = {{"linear", BetaSchedule::linear},
                                                   {"scaled-linear", BetaSchedule::scaled_linear},
                                                   {"cosine", BetaSchedule::cosine},
                                                   {"sigmoid", BetaSchedule::sigmoid},
                                                   {"listed", BetaSchedule::listed}};
};
