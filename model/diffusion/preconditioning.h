#pragma once

#include "model/diffusion/sde.h"

namespace ito::model {

/// What the network F is asked for, given the noisy image x_t = a x_0 + s z of level sigma = s/a:
enum class Prediction {
  edm,           // F of Karras et al. (arXiv:2206.00364, table 1): unit variance in and out
  score,         // F = -z / s, the score of x_t itself
  score_scaled,  // F = -z: the score is F / s (the specification's network, divided by sigma_t; docs/model.md)
  noise,         // F = z (DDPM's epsilon)
  x0,            // F = x_0
  v,             // F = (z - sigma x_0) / sqrt(1 + sigma^2) (arXiv:2202.00512)
  consistency,   // edm's F, joined such that D = xbar at boundary_sigma (arXiv:2303.01469, appendix C)
};

/// The number by which the network is given the noise level.
enum class NoiseCondition {
  quarter_log_sigma,  // ln(sigma) / 4 (EDM)
  log_sigma,          // ln(sigma) (NCSN++)
  time,               // t (the specification)
  time_999,           // 999 t (DDPM's index on a continuous scale)
  index,              // last_index t, a table's index, or that index rescaled
  log_sigma_250,      // 250 ln(sigma) (consistency models)
};

/// Everything that joins network and denoiser at one level, with xbar = x_t / a = x_0 + sigma z:
///   D(xbar; sigma) = c_skip xbar + c_out F(c_in xbar; c_noise),
/// and the perfect denoised image D = x_0 is F = target_x0 x_0 + target_z z.
/// The denoiser determines the score: grad log p_t(x_t) = (a D - x_t) / s^2.
struct Scaling {
  double c_skip = 0, c_out = 1, c_in = 1, c_noise = 0;
  double target_x0 = 0, target_z = 0;
};

/// Which network: for score and score_scaled it sees x_t itself (c_in = a), as in the specification; for
/// noise, x0 and v xbar / sqrt(1 + sigma^2), x_t under VP; for edm xbar / sqrt(sigma_data^2 + sigma^2).
struct Preconditioning {
  Prediction prediction = Prediction::edm;
  NoiseCondition condition = NoiseCondition::quarter_log_sigma;
  double sigma_data = 0.5;  // standard deviation of the pixels
  double last_index = 999;  // of the condition index: what the network is given at t = 1
  double boundary_sigma =
      0.002;  // of the prediction consistency: the level at which D is the image that it is given

  Scaling at(const NoiseLevel&) const;
};

}  // namespace ito::model

template <>
struct ito::Names<ito::model::Prediction> {
  using Prediction = model::Prediction;
  static constexpr std::string_view kKind = "prediction";
  static constexpr Named<Prediction> kTable[] = {{"edm", Prediction::edm},
                                                 {"score", Prediction::score},
                                                 {"score-scaled", Prediction::score_scaled},
                                                 {"noise", Prediction::noise},
                                                 {"x0", Prediction::x0},
                                                 {"v", Prediction::v},
                                                 {"consistency", Prediction::consistency}};
};

template <>
struct ito::Names<ito::model::NoiseCondition> {
  using NoiseCondition = model::NoiseCondition;
  static constexpr std::string_view kKind = "noise condition";
  static constexpr Named<NoiseCondition> kTable[] = {{"log-sigma/4", NoiseCondition::quarter_log_sigma},
                                                     {"log-sigma", NoiseCondition::log_sigma},
                                                     {"t", NoiseCondition::time},
                                                     {"999t", NoiseCondition::time_999},
                                                     {"index", NoiseCondition::index},
                                                     {"250log-sigma", NoiseCondition::log_sigma_250}};
};
