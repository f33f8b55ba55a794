#include "model/diffusion/denoiser.h"

#include "engine/device.h"
#include "kernels/pointwise.h"

namespace ito::model {

Denoiser network_denoiser(const Network& network, const DenoiserOptions& options) {
  return [&network, options](const Tensor& x, const NoiseLevel& level) {
    engine::Device& device = x.device();
    const Scaling scaling = options.preconditioning.at(level);
    const int64_t n = x.shape()[0], count = x.count();
    Tensor input(device, x.shape(), options.compute);  // [N,H,W,C]
    device.launch([&](auto& s) { kernels::add_scaled(s, count, scaling.c_in, x.in(), 0, {}, input.out()); });
    const std::vector<float> c_noise(size_t(n), float(scaling.c_noise));
    const Tensor f = cast(network({input,
                                   Tensor::from(device, {n}, engine::DType::f32, c_noise.data()),
                                   options.condition,
                                   options.keep,
                                   {}}),
                          engine::DType::f32);  // [N,H,W,C]
    Tensor denoised = like(x);                  // [N,H,W,C]
    device.launch([&](auto& s) {
      kernels::add_scaled(s, count, scaling.c_skip, x.in(), scaling.c_out, f.in(), denoised.out());
    });
    return denoised;
  };
}

}  // namespace ito::model
