#pragma once

#include <cstdint>
#include <vector>

#include "model/diffusion/denoiser.h"
#include "model/diffusion/sde.h"

namespace ito::bench {

/// Levels of the loss, evenly spaced in ln sigma: from where a face lacks only its finest grain to where only its mean
/// colour is left.
inline constexpr int kLossLevels = 8;
inline constexpr double kLeastLossSigma = 0.02, kMostLossSigma = 20;

struct LevelLoss {
  double sigma = 0, loss = 0;
};

/// EDM's weighted error of a denoiser, at each level the mean over images and pixels of
///
///     (sigma^2 + d^2) / (sigma d)^2 |D(x_0 + sigma z; sigma) - x_0|^2,   d = 0.5
///
/// (arXiv:2206.00364, table 1). Levels, weights and the noise z, which is a function of level and image alone, are the
/// same for every model, whatever it predicts and however it was trained, so that all losses compare. `pixels` is u8
/// [count,H,W,C], image = [H,W,C].
std::vector<LevelLoss> denoiser_losses(engine::Device&, const model::Denoiser&, const model::Sde&,
                                       const uint8_t* pixels, size_t count, const engine::Shape& image);

/// The mean over the levels.
double mean_loss(const std::vector<LevelLoss>& losses);

}  // namespace ito::bench
