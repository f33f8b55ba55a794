#pragma once

#include <functional>

#include "model/diffusion/preconditioning.h"
#include "model/unet/network.h"

namespace ito::model {

/// What samplers ask: D(x; level) = c_skip x + c_out F(c_in x; c_noise), the denoised image of x = x_0 +
/// sigma z. The sampler's own kernel scales before and combines after, so that F is all there is to run.
struct Denoiser {
  /// The numbers that join F and D at a level.
  std::function<Scaling(const NoiseLevel&)> scaling;
  /// F for input [M,H,W,C] of dtype `compute` and c_noise [M] f32, in `compute`. M = N images, or 2N where
  /// `guided`: F with the condition of all images, then without.
  std::function<Tensor(const Tensor& input, const Tensor& c_noise)> network;
  engine::DType compute = engine::DType::f32;
  bool guided = false;
  double guidance = 1;  // D = D_null + guidance (D_cond - D_null), where guided (arXiv:2207.12598)
};

/// What a network's denoiser needs besides the network.
struct DenoiserOptions {
  Preconditioning preconditioning;
  engine::DType compute = engine::DType::f32;
};

/// The network without a condition. It must outlive the denoiser.
Denoiser network_denoiser(const Network& network, const DenoiserOptions& options);

/// The network under a condition [K], with classifier-free guidance: guidance = 1 is plainly conditional and
/// asks the network once, anything else asks it twice, in one doubled batch.
Denoiser guided_denoiser(engine::Device&, const Network& network, const DenoiserOptions& options,
                         const std::vector<float>& condition, double guidance);

}  // namespace ito::model
