#pragma once

#include <cstdint>

#include "model/diffusion/sde.h"

namespace ito::model {

/// How training draws the noise level of a sample.
enum class LevelDraw {
  uniform,     // t uniform on (training_start, 1)
  antithetic,  // the same, but samples 2k and 2k+1 of a step mirror each other about the interval's middle
  log_normal,  // ln(sigma) ~ N(p_mean, p_std^2) (EDM)
};

/// Draws from Philox, purpose noise_level: a level depends on (seed, step, sample) alone, never on the batch.
struct NoiseLevelDraw {
  LevelDraw kind = LevelDraw::log_normal;
  double p_mean = -1.2, p_std = 1.2;

  NoiseLevel operator()(const Sde&, uint64_t seed, uint32_t step, uint32_t sample) const;
};

}  // namespace ito::model

template <>
struct ito::Names<ito::model::LevelDraw> {
  using LevelDraw = model::LevelDraw;
  static constexpr std::string_view kKind = "noise level draw";
  static constexpr Named<LevelDraw> kTable[] = {{"uniform", LevelDraw::uniform},
                                                {"antithetic", LevelDraw::antithetic},
                                                {"log-normal", LevelDraw::log_normal}};
};
