#pragma once

#include <cmath>
#include <vector>

#include "bench/mixture.h"
#include "model/diffusion/sampler_plan.h"

/// Plans on numbers instead of images, where the denoiser is known in closed form.
namespace ito::tests {

using bench::square;

/// D for pixels N(0, .25) is this times xbar.
inline double gaussian_denoiser(double sigma) { return 0.25 / (0.25 + sigma * sigma); }

/// What a plan makes of pixels N(0, .25) with the exact denoiser: a sum of the independent normal numbers that it
/// draws, the first being the prior's. Langevin's corrector is taken in the limit of many pixels, where norms are
/// deviations.
class GaussianRun {
 public:
  explicit GaussianRun(const model::SamplerPlan& plan) : x_{plan.prior_sigma} {
    std::vector<double> start;
    std::vector<std::vector<double>> denoised;  // newest first
    for (const model::Stage& stage : plan.stages) {
      if (stage.noise_before != 0) x_.push_back(stage.noise_before);
      if (!stage.from_start) start = x_;
      std::vector<double> d = x_;
      for (double& v : d) v *= gaussian_denoiser(stage.level.sigma);
      if (stage.corrects) {
        correct(stage, d);
        continue;
      }
      denoised.insert(denoised.begin(), d);
      denoised.resize(std::min<size_t>(denoised.size(), model::Update::kTerms));
      std::vector<double> next(x_.size());
      add(next, stage.update.a, start);
      for (size_t k = 0; k < denoised.size(); ++k) add(next, stage.update.b[k], denoised[k]);
      if (stage.update.c != 0) next.push_back(stage.update.c);
      x_ = next;
    }
  }
  double stddev() const { return norm(x_); }
  /// Of the prior's number alone: how a plan without noise scales what it starts from.
  double gain() const { return x_[0]; }

 private:
  static double norm(const std::vector<double>& x) {
    double sum = 0;
    for (double v : x) sum += v * v;
    return std::sqrt(sum);
  }
  static void add(std::vector<double>& to, double factor, const std::vector<double>& x) {
    for (size_t i = 0; i < x.size(); ++i) to[i] += factor * x[i];
  }
  void correct(const model::Stage& stage, const std::vector<double>& d) {
    std::vector<double> pull = d;  // D - x
    add(pull, -1, x_);
    const double r = 1 / norm(pull), snr = stage.langevin.snr, alpha = stage.langevin.alpha;
    const double variance = square(stage.level.sigma);
    add(x_, 2 * alpha * square(snr * r) * variance, pull);
    x_.push_back(2 * std::sqrt(alpha) * snr * r * variance);
  }

  std::vector<double> x_;
};

using bench::Mixture;
using bench::run_plan;

}  // namespace ito::tests
