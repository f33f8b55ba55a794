#include "model/training/batch_loss.h"

#include <cmath>

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

/// One batch of those samples, and how the network is asked about it.
class Batch {
 public:
  Batch(engine::Device& device, const TrainingOptions& options, const Network& network,
        const DescribedSamples& samples, int64_t first, int n, const DropoutSource& dropout)
      : device_(device),
        options_(options),
        network_(network),
        samples_(samples),
        first_(first),
        n_(n),
        dropout_(dropout),
        images_(from_sample(samples.images, first)),
        chosen_(chosen_noise(device, dims(), images_, samples.noise_candidates)) {}

  /// F of images [N,H,W,C] under noise as their recipes have it, and the target, f32, of the same shape.
  struct Answer {
    Tensor f, target;
  };
  Answer ask(const kernels::SampleRecipe* recipes, const Tensor& c_noise) const {
    const NetworkConfig& net = options_.network;
    const engine::Shape shape{n_, net.height, net.width, net.channels};
    Tensor input(device_, shape, compute_type(options_)), target(device_, shape, DType::f32);
    const kernels::BatchNoise noise{static_cast<const uint32_t*>(chosen_.data()), samples_.input_noise};
    device_.launch([&](auto& s) {
      kernels::make_batch(s, dims(), {images_.pixels, recipes, images_.maps}, noise, input.out(),
                          target.out());
    });
    const int k = net.condition_width();
    const bool augment = samples_.augment.defined();
    return {network_({input, part(c_noise), k ? part(samples_.condition, k) : Tensor{},
                      k ? part(samples_.keep) : Tensor{}, dropout_,
                      augment ? part(samples_.augment, kAugmentationLabels) : Tensor{}}),
            target};
  }
  Answer ask() const { return ask(images_.recipes, samples_.c_noise); }
  /// F at the pairs' lower levels, as a constant, f32.
  Tensor lower() const {
    engine::NoGrad off(device_);
    return cast(ask(samples_.lower + first_, samples_.lower_c_noise).f, DType::f32);
  }

  /// The batch's numbers of a vector [samples], or rows of a matrix [samples,k].
  Tensor part(const Tensor& of) const { return of.slice(first_, {n_}); }
  Tensor part(const Tensor& of, int k) const { return of.slice(first_ * k, {n_, k}); }

 private:
  kernels::MakeBatchDims dims() const {
    const NetworkConfig& net = options_.network;
    return {n_, net.height, net.width, net.channels, samples_.seed, samples_.purpose, samples_.step};
  }
  engine::Device& device_;
  const TrainingOptions& options_;
  const Network& network_;
  const DescribedSamples& samples_;
  int64_t first_;
  int n_;
  DropoutSource dropout_;
  kernels::BatchImages images_;
  Tensor chosen_;
};

/// The distances of pairs of levels (consistency.h).
Tensor pair_loss(const Batch& batch, const TrainingOptions& options, const DescribedSamples& samples) {
  const Tensor lower = batch.lower();  // before the upper network, whose activations are kept
  const auto [f, target] = batch.ask();
  Tensor whole;
  {
    engine::NoGrad off(f.device());
    whole = add(target, scale_samples(lower, batch.part(samples.share)));
  }
  const int64_t numbers = f.count() / f.shape()[0];  // of an image
  const double c = options.consistency.huber * std::sqrt(double(numbers));
  return pseudo_huber(f, whole, batch.part(samples.scale), batch.part(samples.weight), c);
}

}  // namespace

BatchLoss batch_loss(engine::Device& device, const TrainingOptions& options, const Network& network,
                     const LossWeight* u, const DescribedSamples& samples, int64_t first, int n,
                     const DropoutSource& dropout) {
  const Batch batch(device, options, network, samples, first, n, dropout);
  if (samples.lower) {
    const Tensor distance = pair_loss(batch, options, samples);
    return {distance, distance};
  }
  const auto [f, target] = batch.ask();
  const Tensor weight = batch.part(samples.weight);
  if (!u) {
    const Tensor error = squared_error(f, target, weight);  // [1]
    return {error, error};
  }
  Tensor error(device, {1}, DType::f32);
  const double share = 1 / (double(options.batch) * options.accumulate);
  return {error, gaussian_nll(f, target, weight, (*u)(batch.part(samples.c_noise)), share, error)};
}

}  // namespace ito::model
