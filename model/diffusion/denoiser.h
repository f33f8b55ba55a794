#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "model/diffusion/preconditioning.h"
#include "model/unet/network.h"

namespace ito::model {

/// How far guidance goes: D_guide + weight (D - D_guide) where sigma is within least .. most, D itself elsewhere
/// (arXiv:2404.07724).
struct Guidance {
  double weight = 1;
  double least = 0, most = std::numeric_limits<double>::infinity();

  double at(double sigma) const { return sigma >= least && sigma <= most ? weight : 1; }
};

/// What samplers ask: D(x; level) = c_skip x + c_out F(c_in x; c_noise), the denoised image of x = x_0 +
/// sigma z. The sampler's own kernel scales before and combines after, so that F is all there is to run.
///
/// With guidance D is D_guide + weight (D - D_guide), away from a worse denoiser: the same network without its
/// condition (classifier-free guidance, arXiv:2207.12598), or another one (autoguidance, arXiv:2406.02507).
struct Denoiser {
  /// The numbers that join F and D at a level.
  std::function<Scaling(const NoiseLevel&)> scaling;
  /// F for input [M,H,W,C] of dtype `compute` and c_noise [M] f32, in `compute`. M = N images, or 2N where
  /// `doubled`: F with the condition of all images, then without.
  std::function<Tensor(const Tensor& input, const Tensor& c_noise)> network;
  engine::DType compute = engine::DType::f32;
  /// Called with a chunk's seeds before it is sampled: puts in place what the network reads besides the images, always
  /// at the same address. Empty: there is nothing of the kind.
  std::function<void(const std::vector<uint64_t>& seeds)> prepare;
  bool doubled = false;                   // the second half of the batch is its own guide
  std::shared_ptr<const Denoiser> guide;  // another network as the guide, or null
  Guidance guidance;                      // where there is a guide

  bool guided() const { return doubled || guide; }
};

/// What a network's denoiser needs besides the network.
struct DenoiserOptions {
  Preconditioning preconditioning;
  engine::DType compute = engine::DType::f32;
};

/// The network without a condition. It must outlive the denoiser.
Denoiser network_denoiser(const Network& network, const DenoiserOptions& options);

/// The conditions [seeds,K] of the images of these seeds. A condition depends on its own seed alone.
using ConditionsOf = std::function<std::vector<float>(const std::vector<uint64_t>& seeds)>;

/// The most images of a chunk of a guided denoiser.
inline constexpr int64_t kMostConditions = 64;

/// The network with each image under its own condition, and with classifier-free guidance: a weight of 1 is plainly
/// conditional and asks the network once, anything else asks it twice, in one doubled batch, whose second half is
/// without a condition. `prepare` puts the chunk's conditions in place; before its first call they are 0. Error: the
/// network was made without a condition; a chunk of more than kMostConditions images; `conditions` of another size.
Denoiser guided_denoiser(engine::Device&, const Network& network, const DenoiserOptions& options,
                         const ConditionsOf& conditions, const Guidance& guidance);

/// Autoguidance: `denoiser`, led away from `guide`. A weight of 1 never asks the guide. Error: one of them is guided
/// already; they compute in different types.
Denoiser autoguided(Denoiser denoiser, Denoiser guide, const Guidance& guidance);

}  // namespace ito::model
