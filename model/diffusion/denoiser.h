#pragma once

#include <functional>

#include "model/diffusion/preconditioning.h"
#include "model/unet/network.h"

namespace ito::model {

/// D(x; level): the denoised image of x = x_0 + sigma z, for x [N,H,W,C] f32 of one noise level. What
/// samplers ask; guidance is a denoiser that asks another.
using Denoiser = std::function<Tensor(const Tensor& x, const NoiseLevel& level)>;

/// What a network's denoiser needs to know beside the network.
struct DenoiserOptions {
  Preconditioning preconditioning;
  engine::DType compute = engine::DType::f32;
  Tensor condition, keep;  // [N,K] and [N], or undefined: unconditional
};

/// D = c_skip x + c_out F(c_in x; c_noise). The network must outlive the denoiser.
Denoiser network_denoiser(const Network& network, const DenoiserOptions& options);

}  // namespace ito::model
