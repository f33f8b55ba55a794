#pragma once

#include <cmath>

#include "model/diffusion/denoiser.h"

namespace ito::bench {

/// A denoiser whose "network" is a formula, denoise(x, sigma) of one number, on the CPU: x0's preconditioning,
/// conditioned on ln sigma.
template <class Formula>
model::Denoiser formula_denoiser(Formula denoise) {
  const model::Preconditioning p{model::Prediction::x0, model::NoiseCondition::log_sigma, 0.5};
  model::Denoiser d;
  d.scaling = [p](const model::NoiseLevel& level) { return p.at(level); };
  d.network = [denoise](const engine::Tensor& input, const engine::Tensor& c_noise) {
    engine::Tensor f(input.device(), input.shape(), engine::DType::f32);
    if (input.device().dry()) return f;
    const int64_t n = input.shape()[0], each = input.count() / n;
    const float* const in = input.in().as<float>();
    float* const out = f.out().as<float>();
    for (int64_t i = 0; i < input.count(); ++i) {
      const double sigma = std::exp(double(c_noise.in().as<float>()[i / each]));
      out[i] = float(denoise(in[i] * std::sqrt(1 + sigma * sigma), sigma));
    }
    return f;
  };
  return d;
}

}  // namespace ito::bench
