#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/base/error.h"
#include "model/diffusion/objective.h"

using namespace ito;
using namespace ito::model;
using doctest::Approx;

namespace {

const Prediction kPredictions[] = {Prediction::edm,   Prediction::score, Prediction::score_scaled,
                                   Prediction::noise, Prediction::x0,    Prediction::v};
const Weighting kWeightings[] = {Weighting::none, Weighting::sigma2, Weighting::likelihood, Weighting::edm,
                                 Weighting::min_snr};
const double kTimes[] = {1e-5, 1e-3, 0.03, 0.25, 0.5, 0.9, 1};

std::vector<Sde> all_sdes() { return {Sde(Ve{}), Sde(Ve{0.01, 50}), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{})}; }

Objective objective(const Sde& sde, Prediction prediction, Weighting weighting) {
  Objective o;
  o.sde = sde, o.preconditioning.prediction = prediction, o.weighting = weighting;
  return o;
}

double square(double x) { return x * x; }

/// lambda(t) written out once more, from the definitions and with the level's own coordinates a, s.
double direct_lambda(const Sde& sde, Weighting weighting, double t) {
  const double a = sde.mean(t), s = sde.stddev(t), g = sde.diffusion(t);
  const double score_to_image = s * s / a;  // ||D - x_0|| = (s^2 / a) ||score + z/s||
  switch (weighting) {
    case Weighting::none:
      return 1;
    case Weighting::sigma2:
      return s * s;
    case Weighting::likelihood:
      return g * g;
    case Weighting::edm:
      return square(score_to_image) * (square(s / a) + 0.25) / square(0.5 * s / a);
    case Weighting::min_snr:
      return square(score_to_image) * std::min(square(a / s), 5.0);
  }
  return NAN;
}

/// The expected loss per pixel for images N(0, data^2) when the network answers F = answer_x0 x_0 + answer_z
/// z.
double expected_loss(const TrainingPoint& p, double data, double answer_x0, double answer_z) {
  return p.loss_weight * (square(data * (answer_x0 - p.target_x0)) + square(answer_z - p.target_z));
}

/// The same with the optimal denoiser of such images, D = data^2 / (data^2 + sigma^2) xbar, which a network
/// linear in its input can be.
double optimal_loss(const Objective& o, const NoiseLevel& level, double data) {
  const TrainingPoint p = o.at(level);
  const Scaling c = o.preconditioning.at(level);
  const double denoiser = data * data / (data * data + level.sigma * level.sigma);
  const double gain = (denoiser - c.c_skip) / (c.c_out * c.c_in);  // F = gain * input
  return expected_loss(p, data, gain * p.input_x0, gain * p.input_z);
}

}  // namespace

TEST_CASE("EDM's scaling: the published table, and unit variance in and out") {
  Preconditioning edm;
  for (double sigma : {0.002, 0.1, 0.5, 3.0, 80.0}) {
    const Scaling c = edm.at(Sde().at_sigma(sigma));
    const double total = sigma * sigma + 0.25;
    CHECK(c.c_skip == Approx(0.25 / total).epsilon(1e-14));
    CHECK(c.c_out == Approx(sigma * 0.5 / std::sqrt(total)).epsilon(1e-14));
    CHECK(c.c_in == Approx(1 / std::sqrt(total)).epsilon(1e-14));
    CHECK(c.c_noise == Approx(std::log(sigma) / 4).epsilon(1e-14));
    CHECK(square(0.5 * c.c_in) + square(sigma * c.c_in) == Approx(1).epsilon(1e-14));
    CHECK(square(0.5 * c.target_x0) + square(c.target_z) == Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("VP and VE as EDM's table has them") {
  Preconditioning p;
  p.prediction = Prediction::noise, p.condition = NoiseCondition::time_999;
  const NoiseLevel level = Sde(Vp{}).at_sigma(2.5);
  const Scaling vp = p.at(level);
  CHECK(vp.c_skip == 1);
  CHECK(vp.c_out == -2.5);
  CHECK(vp.c_in == Approx(1 / std::sqrt(1 + 2.5 * 2.5)).epsilon(1e-14));
  CHECK(vp.c_in == Approx(level.mean).epsilon(1e-13));  // so the network sees x_t itself
  CHECK(vp.c_noise == 999 * level.t);
  p.prediction = Prediction::score_scaled, p.condition = NoiseCondition::log_sigma;
  const Scaling ve = p.at(Sde().at_sigma(2.5));
  CHECK(ve.c_skip == 1);
  CHECK(ve.c_out == 2.5);
  CHECK(ve.c_in == 1);
  CHECK(ve.c_noise == std::log(2.5));
  p.condition = NoiseCondition::time;
  CHECK(p.at(level).c_noise == level.t);
  CHECK(p.at(level).c_in == level.mean);
}

TEST_CASE("a network that hits its target makes D = x_0, for every SDE, prediction and level") {
  const double x0 = -0.37, z = 1.21;
  for (const Sde& sde : all_sdes())
    for (Prediction prediction : kPredictions)
      for (double t : kTimes) {
        CAPTURE(name_of(prediction));
        CAPTURE(t);
        Preconditioning p;
        p.prediction = prediction;
        const NoiseLevel level = sde.at(t);
        const Scaling c = p.at(level);
        const double skip = c.c_skip * (x0 + level.sigma * z),
                     out = c.c_out * (c.target_x0 * x0 + c.target_z * z);
        CHECK(std::abs(skip + out - x0) < 1e-15 * (1 + std::abs(skip) + std::abs(out)));
      }
}

TEST_CASE("every prediction means what its name says") {
  const double x0 = 0.6, z = -0.8;
  for (const Sde& sde : all_sdes()) {
    const NoiseLevel level = sde.at(0.4);
    const auto target = [&](Prediction prediction) {
      Preconditioning p;
      p.prediction = prediction;
      const Scaling c = p.at(level);
      return c.target_x0 * x0 + c.target_z * z;
    };
    const double x_t = level.mean * x0 + level.stddev * z;
    // The score of x_t given x_0, -(x_t - a x_0) / s^2; the specification's network is divided by s to give
    // it.
    const double score = -(x_t - level.mean * x0) / square(level.stddev);
    CHECK(target(Prediction::score) == Approx(score).epsilon(1e-12));
    CHECK(target(Prediction::score_scaled) / level.stddev == Approx(score).epsilon(1e-12));
    CHECK(target(Prediction::noise) == z);
    CHECK(target(Prediction::x0) == x0);
    const double unit = std::sqrt(1 + square(level.sigma));
    CHECK(target(Prediction::v) == Approx((z - level.sigma * x0) / unit).epsilon(1e-13));
  }
}

TEST_CASE("the loss equals lambda ||score + z/s||^2, for every SDE, prediction, weighting and level") {
  const double x0 = 0.31, z = -1.7, off = 0.43;  // the network misses its target by `off`
  for (const Sde& sde : all_sdes())
    for (Prediction prediction : kPredictions)
      for (Weighting weighting : kWeightings)
        for (double t : kTimes) {
          CAPTURE(sde.equations().index());
          CAPTURE(name_of(prediction));
          CAPTURE(name_of(weighting));
          CAPTURE(t);
          const Objective o = objective(sde, prediction, weighting);
          const NoiseLevel level = sde.at(t);
          const TrainingPoint p = o.at(level);
          const Scaling c = o.preconditioning.at(level);
          // Directly: x_t -> the denoiser -> the score -> the loss. Scaled by 1/s the difference cancels, so
          // the error of the two big terms, eps * |x_t| / s^2 each, is what the comparison may show.
          const double x_t = level.mean * x0 + level.stddev * z;
          const double F = p.target_x0 * x0 + p.target_z * z + off;
          const double D = c.c_skip * x_t / level.mean + c.c_out * F;
          const double score = (level.mean * D - x_t) / square(level.stddev);
          const double direct = direct_lambda(sde, weighting, t) * square(score + z / level.stddev);
          const double rounding =
              1e-15 * (std::abs(x_t) + level.mean * (1 + std::abs(c.c_out * F))) / square(level.stddev);
          const double relative = 2 * rounding / std::abs(score + z / level.stddev);
          CHECK(p.loss_weight * square(off) == Approx(direct).scale(0).epsilon(1e-12 + relative));
        }
}

TEST_CASE("the network's input is c_in xbar") {
  for (const Sde& sde : all_sdes())
    for (Prediction prediction : kPredictions) {
      const Objective o = objective(sde, prediction, Weighting::sigma2);
      const NoiseLevel level = sde.at(0.3);
      const TrainingPoint p = o.at(level);
      const Scaling c = o.preconditioning.at(level);
      CHECK(p.input_x0 == c.c_in);
      CHECK(p.input_z == c.c_in * level.sigma);
      CHECK(p.c_noise == c.c_noise);
    }
}

TEST_CASE("published weights on F: EDM's is 1, min-SNR's as in the table of its paper") {
  for (double sigma : {0.01, 0.3, 1.0, 20.0}) {
    const NoiseLevel level = Sde(Vp{}).at_sigma(sigma);
    CHECK(objective(Sde(Vp{}), Prediction::edm, Weighting::edm).at(level).loss_weight ==
          Approx(1).epsilon(1e-12));
    const double snr = 1 / square(sigma), clipped = std::min(snr, 5.0);
    const auto weight = [&](Prediction p) {
      return objective(Sde(Vp{}), p, Weighting::min_snr).at(level).loss_weight;
    };
    CHECK(weight(Prediction::noise) == Approx(clipped / snr).epsilon(1e-12));
    CHECK(weight(Prediction::x0) == Approx(clipped).epsilon(1e-12));
    CHECK(weight(Prediction::v) == Approx(clipped / (snr + 1)).epsilon(1e-12));
  }
}

TEST_CASE("a network that says nothing scores 1 per pixel") {
  for (const Sde& sde : all_sdes())
    for (double t : kTimes) {
      const NoiseLevel level = sde.at(t);
      for (Prediction p : {Prediction::score, Prediction::score_scaled, Prediction::noise})
        CHECK(expected_loss(objective(sde, p, Weighting::sigma2).at(level), 0.5, 0, 0) ==
              Approx(1).epsilon(1e-12));
      const TrainingPoint edm = objective(sde, Prediction::edm, Weighting::edm).at(level);
      CHECK(expected_loss(edm, 0.5, 0, 0) ==
            Approx(1).epsilon(1e-12));  // for images of standard deviation sigma_data
    }
}

TEST_CASE("loss floors: the optimal linear denoiser on N(0, .25) pixels, averaged over uniform t") {
  struct Row {
    Sde sde;
    double floor;
  };
  const Row rows[] = {{Sde(Simple{25}), .194807},
                      {Sde(Ve{0.01, 50}), .459321},
                      {Sde(Ve{0.01, 90}), .429672},
                      {Sde(Vp{}), .173307},
                      {Sde(SubVp{}), .235548}};
  for (const Row& row : rows)
    for (Prediction prediction : kPredictions) {
      CAPTURE(row.floor);
      CAPTURE(name_of(prediction));
      const Objective o = objective(row.sde, prediction, Weighting::sigma2);
      const int n = 20000;
      const double start = Sde::training_start();
      double sum = 0;
      for (int i = 0; i < n; ++i)
        sum += optimal_loss(o, row.sde.at(start + (1 - start) * (i + 0.5) / n), 0.5);
      CHECK(std::abs(sum / n - row.floor) < 1e-6);
    }
}

TEST_CASE("coefficients for the batch kernel are these, rounded to f32; names; bad levels") {
  kernels::SampleRecipe recipe{};
  recipe.image = 7, recipe.flip = 1;
  const TrainingPoint p = objective(Sde(), Prediction::edm, Weighting::edm).at(Sde().at_sigma(0.3));
  p.write_to(recipe);
  CHECK(recipe.image == 7);
  CHECK(recipe.flip == 1);
  CHECK(recipe.input_x0 == float(p.input_x0));
  CHECK(recipe.input_z == float(p.input_z));
  CHECK(recipe.target_x0 == float(p.target_x0));
  CHECK(recipe.target_z == float(p.target_z));
  for (Prediction prediction : kPredictions) CHECK(parse_name<Prediction>(name_of(prediction)) == prediction);
  for (Weighting weighting : kWeightings) CHECK(parse_name<Weighting>(name_of(weighting)) == weighting);
  for (const char* name : {"log-sigma/4", "log-sigma", "t", "999t"})
    CHECK(name_of(parse_name<NoiseCondition>(name)) == name);
  CHECK_THROWS_AS(parse_name<Weighting>("minsnr"), Error);
  CHECK_THROWS_AS(Preconditioning{}.at(NoiseLevel{}), Error);
  Preconditioning flat;
  flat.sigma_data = 0;
  CHECK_THROWS_AS(flat.at(Sde().at(0.5)), Error);
}
