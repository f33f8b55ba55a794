#include "model/diffusion/objective.h"

#include <algorithm>

#include "kernels/base/names.h"

namespace ito::model {
namespace {

double square(double x) { return x * x; }

}  // namespace

void TrainingPoint::write_to(kernels::SampleRecipe& recipe) const {
  recipe.input_x0 = float(input_x0), recipe.input_z = float(input_z);
  recipe.target_x0 = float(target_x0), recipe.target_z = float(target_z);
}

double Objective::lambda(const NoiseLevel& level) const {
  const double sigma = level.sigma, data = preconditioning.sigma_data;
  // ||D - x_0||^2 = (sigma s)^2 ||score + z/s||^2 turns a weight on the denoiser into one on the score.
  const double score_of_denoiser = square(sigma * level.stddev);
  switch (weighting) {
    case Weighting::none:
      return 1;
    case Weighting::sigma2:
      return square(level.stddev);
    case Weighting::likelihood:
      return square(sde.diffusion(level.t));
    case Weighting::edm:
      return score_of_denoiser * (square(sigma) + square(data)) / square(sigma * data);
    case Weighting::min_snr:
      return score_of_denoiser * std::min(1 / square(sigma), min_snr_gamma);
  }
  fail("a weighting is missing here");
}

TrainingPoint Objective::at(const NoiseLevel& level) const {
  const Scaling c = preconditioning.at(level);
  TrainingPoint point;
  point.input_x0 = c.c_in, point.input_z = c.c_in * level.sigma;
  point.target_x0 = c.target_x0, point.target_z = c.target_z;
  point.c_noise = c.c_noise;
  point.loss_weight = lambda(level) * square(c.c_out / (level.sigma * level.stddev));
  return point;
}

}  // namespace ito::model
