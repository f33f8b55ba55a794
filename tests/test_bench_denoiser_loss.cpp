#include <doctest/doctest.h>

#include <cmath>

#include "bench/denoiser_loss.h"
#include "bench/formula_denoiser.h"

/// The loss by which recipes are compared, of denoisers that are formulas.
namespace ito::bench {
namespace {

using doctest::Approx;
constexpr int kCount = 21, kSide = 12;  // no multiple of a chunk
constexpr double kData = 0.5;

std::vector<uint8_t> pixels() {
  std::vector<uint8_t> values(size_t(kCount) * kSide * kSide * 3);
  for (size_t i = 0; i < values.size(); ++i) values[i] = uint8_t((i * 2654435761u) >> 13);
  return values;
}

std::vector<LevelLoss> losses_of(const model::Denoiser& denoiser, const model::Sde& sde = {}) {
  engine::Device device({.threads = 2});
  return denoiser_losses(device, denoiser, sde, pixels().data(), kCount, {kSide, kSide, 3});
}

double weight(double sigma) { return (sigma * sigma + kData * kData) / (sigma * sigma * kData * kData); }

TEST_CASE("levels are evenly spaced in ln sigma, and the errors are weighted as EDM weights them") {
  const auto grey = losses_of(formula_denoiser([](double, double) { return 0.0; }));
  REQUIRE(grey.size() == kLossLevels);
  CHECK(grey.front().sigma == Approx(kLeastLossSigma));
  CHECK(grey.back().sigma == Approx(kMostLossSigma));
  double squares = 0;
  for (const uint8_t p : pixels()) squares += std::pow(p / 127.5 - 1, 2) / double(pixels().size());
  for (size_t i = 0; i < grey.size(); ++i) {
    if (i) CHECK(grey[i].sigma / grey[i - 1].sigma == Approx(std::pow(1000.0, 1.0 / 7)));
    CHECK(grey[i].loss == Approx(weight(grey[i].sigma) * squares).epsilon(1e-6));
  }
  double mean = 0;
  for (const LevelLoss& level : grey) mean += level.loss / kLossLevels;
  CHECK(mean_loss(grey) == Approx(mean));
}

TEST_CASE("the noise has unit variance, and is another one at each level") {
  const auto same = losses_of(formula_denoiser([](double x, double) { return x; }));
  const double numbers = double(pixels().size());
  for (size_t i = 0; i < same.size(); ++i) {
    const double variance = same[i].loss / (weight(same[i].sigma) * std::pow(same[i].sigma, 2));
    CHECK(variance == Approx(1).epsilon(5 * std::sqrt(2 / numbers)));
    for (size_t k = 0; k < i; ++k)
      CHECK(variance !=
            Approx(same[k].loss / (weight(same[k].sigma) * std::pow(same[k].sigma, 2))).epsilon(1e-7));
  }
}

TEST_CASE("the loss is the denoiser's, whatever its network predicts and under whichever SDE") {
  const auto shrink = [](double x, double sigma) { return x / (1 + sigma * sigma); };
  const model::Denoiser by_image = formula_denoiser(shrink);
  const auto expected = losses_of(by_image);
  // The same D by EDM's preconditioning: F = (D - c_skip x) / c_out.
  const model::Preconditioning edm{model::Prediction::edm, model::NoiseCondition::log_sigma, kData};
  model::Denoiser by_edm = by_image;
  by_edm.scaling = [edm](const model::NoiseLevel& level) { return edm.at(level); };
  by_edm.network = [&](const engine::Tensor& input, const engine::Tensor& c_noise) {
    engine::Tensor f(input.device(), input.shape(), engine::DType::f32);
    if (input.device().dry()) return f;
    for (int64_t i = 0; i < input.count(); ++i) {
      const double sigma = std::exp(double(c_noise.in().as<float>()[i / (input.count() / input.shape()[0])]));
      const model::Scaling s = edm.at(model::Sde().at_sigma(sigma));
      const double x = input.in().as<float>()[i] / s.c_in;
      f.out().as<float>()[i] = float((shrink(x, sigma) - s.c_skip * x) / s.c_out);
    }
    return f;
  };
  const auto agrees = [&](const std::vector<LevelLoss>& found) {
    for (size_t i = 0; i < found.size(); ++i) CHECK(found[i].loss == Approx(expected[i].loss).epsilon(1e-4));
  };
  agrees(losses_of(by_edm));
  agrees(losses_of(by_image, model::Sde(model::Vp{})));
}

}  // namespace
}  // namespace ito::bench
