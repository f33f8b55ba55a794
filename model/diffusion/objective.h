#pragma once

#include "kernels/make_batch.h"
#include "model/diffusion/preconditioning.h"
#include "model/diffusion/sde.h"

namespace ito::model {

/// What a network learns.
enum class ObjectiveKind : uint8_t {
  denoising,    // the score, by denoising
  consistency,  // to jump to the image from every level (consistency.h): a trained network is tuned to it
};

/// lambda(t) of the denoising score matching loss lambda ||score + z/s||^2 (arXiv:2011.13456, eq. 7).
enum class Weighting {
  none,        // 1
  sigma2,      // s(t)^2: an output of zero scores 1 per pixel at every level
  likelihood,  // g(t)^2: a bound on the likelihood under uniform t (arXiv:2101.09258)
  edm,         // (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 on ||D - x_0||^2 (arXiv:2206.00364)
  min_snr,     // min(1 / sigma^2, gamma) on ||D - x_0||^2 (arXiv:2303.09556)
};

/// One training sample as numbers. Its loss is loss_weight * sum over pixels (F(input; c_noise) - target)^2,
///   input = input_x0 x_0 + input_z z,  target = target_x0 x_0 + target_z z.
struct TrainingPoint {
  double input_x0 = 0, input_z = 0, target_x0 = 0, target_z = 0;
  double c_noise = 0;
  double loss_weight = 1;

  /// Writes the four coefficients, rounded to f32; the rest of the recipe stays.
  void write_to(kernels::SampleRecipe&) const;
};

/// The training objective: that loss equals lambda(t) ||score(x_t, t) + z/s(t)||^2 whatever F predicts. For
///   score + z/s = a (D - x_0) / s^2 = c_out / (sigma s) (F - target),
/// so F's error has the weight lambda c_out^2 / (sigma s)^2.
struct Objective {
  Sde sde;
  Preconditioning preconditioning;
  Weighting weighting = Weighting::edm;
  double min_snr_gamma = 5;

  TrainingPoint at(const NoiseLevel&) const;
  double lambda(const NoiseLevel&) const;
};

}  // namespace ito::model

template <>
struct ito::Names<ito::model::ObjectiveKind> {
  using ObjectiveKind = model::ObjectiveKind;
  static constexpr std::string_view kKind = "objective";
  static constexpr Named<ObjectiveKind> kTable[] = {{"denoising", ObjectiveKind::denoising},
                                                    {"consistency", ObjectiveKind::consistency}};
};

template <>
struct ito::Names<ito::model::Weighting> {
  using Weighting = model::Weighting;
  static constexpr std::string_view kKind = "weighting";
  static constexpr Named<Weighting> kTable[] = {{"none", Weighting::none},
                                                {"sigma2", Weighting::sigma2},
                                                {"likelihood", Weighting::likelihood},
                                                {"edm", Weighting::edm},
                                                {"min-snr", Weighting::min_snr}};
};
