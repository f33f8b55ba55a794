#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/diffusion/sampler_plan.h"

/// Samplers on numbers instead of images, where the denoiser is known in closed form.
namespace ito::bench {

inline double square(double x) { return x * x; }

/// Three Gaussians on a line, as "images" of one pixel: the exact D, and the exact probability flow. In one
/// dimension the flow keeps every point's quantile, so the point that is at x at level sigma ends where
/// the data's quantile is.
struct Mixture {
  double weight[3] = {0.3, 0.5, 0.2}, centre[3] = {-0.7, 0.1, 0.8}, stddev[3] = {0.1, 0.2, 0.05};

  double denoise(double x, double sigma) const {
    double exponent[3], most = -std::numeric_limits<double>::infinity();
    for (int k = 0; k < 3; ++k) {
      const double variance = square(stddev[k]) + sigma * sigma;
      exponent[k] = std::log(weight[k] / std::sqrt(variance)) - 0.5 * square(x - centre[k]) / variance;
      most = std::max(most, exponent[k]);
    }
    double total = 0, sum = 0;
    for (int k = 0; k < 3; ++k) {
      const double own = square(stddev[k]), density = std::exp(exponent[k] - most);  // however far away x is
      total += density;
      sum += density * (centre[k] + own / (own + sigma * sigma) * (x - centre[k]));
    }
    return sum / total;
  }
  double quantile(double x, double sigma) const {
    double p = 0;
    for (int k = 0; k < 3; ++k)
      p += weight[k] * 0.5 * std::erfc((centre[k] - x) / std::sqrt(2 * (square(stddev[k]) + sigma * sigma)));
    return p;
  }
  double point_at(double p, double sigma) const {
    double low = -10 * (1 + sigma), high = 10 * (1 + sigma);
    for (int i = 0; i < 200; ++i) (quantile(0.5 * (low + high), sigma) < p ? low : high) = 0.5 * (low + high);
    return 0.5 * (low + high);
  }
};

/// A plan on one number x at the prior's level; clipping is to [-1, 1]. normal(): the numbers that it draws, in order.
template <class Denoiser, class Normal>
double run_plan(const model::SamplerPlan& plan, double x, Denoiser denoise, Normal normal) {
  double start = x, d[model::Update::kTerms] = {};
  for (const model::Stage& stage : plan.stages) {
    if (stage.noise_before != 0) x += stage.noise_before * normal();
    if (!stage.from_start) start = x;
    for (int k = model::Update::kTerms - 1; k > 0; --k) d[k] = d[k - 1];
    const double raw = denoise(x, stage.level.sigma);
    d[0] = plan.clip.kind == model::Clip::Kind::none ? raw : std::clamp(raw, -1.0, 1.0);
    double next = stage.update.a * start + stage.update.b_raw * raw;
    for (int k = 0; k < model::Update::kTerms; ++k) next += stage.update.b[k] * d[k];
    if (stage.update.c != 0) next += stage.update.c * normal();
    x = next;
  }
  return x;
}

template <class Denoiser>
double run_plan(const model::SamplerPlan& plan, double x, Denoiser denoise) {
  return run_plan(plan, x, denoise, [] { return 0.0; });
}

}  // namespace ito::bench
