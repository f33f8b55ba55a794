#include "model/training/batch_loss.h"

namespace ito::model {

using engine::DType;
using engine::Tensor;

Tensor batch_loss(engine::Device& device, const TrainingOptions& options, const Network& network,
                  const DescribedSamples& samples, int64_t first, int n, const DropoutSource& dropout) {
  const NetworkConfig& net = options.network;
  const engine::Shape shape{n, net.height, net.width, net.channels};
  Tensor input(device, shape, compute_type(options)), target(device, shape, DType::f32);  // [N,H,W,C]
  const kernels::MakeBatchDims dims{
      n, net.height, net.width, net.channels, samples.seed, samples.purpose, samples.step};
  device.launch([&](auto& s) {
    kernels::make_batch(s, dims, {samples.pixels, samples.recipes + first}, {}, input.out(), target.out());
  });
  const int k = net.condition;
  const Tensor f = network({input, samples.c_noise.slice(first, {n}),
                            k ? samples.condition.slice(first * k, {n, k}) : Tensor{},
                            k ? samples.keep.slice(first, {n}) : Tensor{}, dropout});  // [N,H,W,C]
  return squared_error(f, target, samples.weight.slice(first, {n}));                   // [1]
}

}  // namespace ito::model
