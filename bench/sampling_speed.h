#pragma once

#include <nlohmann/json.hpp>

#include "bench/timing.h"
#include "model/diffusion/denoiser.h"
#include "model/diffusion/sampler_options.h"

namespace ito::bench {

/// How fast a denoiser is sampled, and what of it is not its network.
struct SamplingSpeed {
  engine::Device& device;
  const model::Denoiser& denoiser;
  model::Sde sde;
  engine::Shape image;  // [H,W,C]
  int repeats;

  /// One row for each sampler, of about `evaluations` evaluations: images and evaluations a second; the part of the
  /// time that is left when as many evaluations of the network alone are taken away, timed in turns with it; and the
  /// seconds of an evaluation over Heun's, in the same turns.
  nlohmann::json rows(const std::vector<model::SamplerKind>& kinds, int evaluations) const;

  /// Seconds of each of `repeats` evaluations of the network alone, of so many images, after two that choose plans.
  std::vector<double> evaluations_alone(int batch) const;
};

}  // namespace ito::bench
