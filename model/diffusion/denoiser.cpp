#include "model/diffusion/denoiser.h"

#include "engine/device.h"
#include "kernels/pointwise.h"

namespace ito::model {

Denoiser network_denoiser(const Network& network, const DenoiserOptions& options) {
  Denoiser denoiser;
  denoiser.scaling = [p = options.preconditioning](const NoiseLevel& level) { return p.at(level); };
  denoiser.network = [&network](const Tensor& input, const Tensor& c_noise) {
    return network({input, c_noise, {}, {}, {}});  // [M,H,W,C]
  };
  denoiser.compute = options.compute;
  return denoiser;
}

Denoiser guided_denoiser(engine::Device& device, const Network& network, const DenoiserOptions& options,
                         const std::vector<float>& condition, double guidance) {
  const int64_t k = network.config().condition;
  if (k == 0) fail("this model was trained without a condition: it cannot be guided by one");
  if (int64_t(condition.size()) != k)
    fail(cat("the model's condition has ", k, " numbers, ", condition.size(), " are given"));
  const Tensor one = Tensor::persistent(device, {k}, engine::DType::f32);  // [K]
  device.upload(one.data(), condition.data(), one.bytes());
  Denoiser denoiser = network_denoiser(network, options);
  denoiser.guided = guidance != 1;
  denoiser.guidance = guidance;
  denoiser.network = [&network, one, k, guided = denoiser.guided](const Tensor& input,
                                                                  const Tensor& c_noise) {
    engine::Device& device = input.device();
    const int64_t m = input.shape()[0], shown = guided ? m / 2 : m;
    Tensor conditions(device, {m, k}, engine::DType::f32);  // [M,K]: the same row for all images
    Tensor keep(device, {m}, engine::DType::f32);           // [M]: 1 for the images that are shown it
    device.launch([&](auto& s) {
      kernels::fill(s, m * k, 0, conditions.out());
      kernels::add_channels_forward(s, 1, int(m), int(k), conditions.in(), one.in(), conditions.out());
      kernels::fill(s, shown, 1, keep.out());
      if (guided) kernels::fill(s, m - shown, 0, keep.slice(shown, {m - shown}).out());
    });
    return network({input, c_noise, conditions, keep, {}});  // [M,H,W,C]
  };
  return denoiser;
}

}  // namespace ito::model
