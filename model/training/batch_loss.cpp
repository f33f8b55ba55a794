#include "model/training/batch_loss.h"

#include "kernels/nearest_noise.h"

namespace ito::model {

using engine::DType;
using engine::Tensor;

namespace {

/// The noise candidate of each sample, [N] u32; undefined where there is one.
Tensor chosen_noise(engine::Device& device, const kernels::MakeBatchDims& dims,
                    const kernels::BatchImages& images, int candidates) {
  if (candidates == 1) return {};
  static_assert(sizeof(uint32_t) == sizeof(float), "a tensor of f32 has room for as many u32");
  Tensor chosen(device, {dims.n}, DType::f32);
  auto* const to = static_cast<uint32_t*>(chosen.data());
  device.launch([&](auto& s) { kernels::nearest_noise(s, dims, images, candidates, to); });
  return chosen;
}

}  // namespace

BatchLoss batch_loss(engine::Device& device, const TrainingOptions& options, const Network& network,
                     const LossWeight* u, const DescribedSamples& samples, int64_t first, int n,
                     const DropoutSource& dropout) {
  const NetworkConfig& net = options.network;
  const engine::Shape shape{n, net.height, net.width, net.channels};
  Tensor input(device, shape, compute_type(options)), target(device, shape, DType::f32);  // [N,H,W,C]
  const kernels::MakeBatchDims dims{
      n, net.height, net.width, net.channels, samples.seed, samples.purpose, samples.step};
  const kernels::BatchImages images = from_sample(samples.images, first);
  {
    const Tensor chosen = chosen_noise(device, dims, images, samples.noise_candidates);
    const kernels::BatchNoise noise{static_cast<const uint32_t*>(chosen.data()), samples.input_noise};
    device.launch([&](auto& s) { kernels::make_batch(s, dims, images, noise, input.out(), target.out()); });
  }
  const int k = net.condition_width();
  const bool augment = samples.augment.defined();
  const Tensor f = network(
      {input, samples.c_noise.slice(first, {n}), k ? samples.condition.slice(first * k, {n, k}) : Tensor{},
       k ? samples.keep.slice(first, {n}) : Tensor{}, dropout,
       augment ? samples.augment.slice(first * kAugmentationLabels, {n, kAugmentationLabels})
               : Tensor{}});  // [N,H,W,C]
  const Tensor weight = samples.weight.slice(first, {n});
  if (!u) {
    const Tensor error = squared_error(f, target, weight);  // [1]
    return {error, error};
  }
  Tensor error(device, {1}, DType::f32);
  const double share = 1 / double(samples.weight.count());
  return {error, gaussian_nll(f, target, weight, (*u)(samples.c_noise.slice(first, {n})), share, error)};
}

}  // namespace ito::model
