#pragma once

#include "kernels/make_batch.h"
#include "model/training/loss_weight.h"
#include "model/training/options.h"
#include "model/unet/network.h"

namespace ito::model {

/// Samples as numbers in a device's memory: what they are made of, the network's other inputs, and the weights of their
/// errors.
struct DescribedSamples {
  kernels::BatchImages images = {};  // of all samples
  engine::Tensor c_noise, weight;    // [samples] f32
  engine::Tensor condition, keep;    // [samples,K], [samples] f32; undefined without a condition
  engine::Tensor augment;            // [samples,kAugmentationLabels] f32; undefined without augmentation
  int noise_candidates = 1;
  float input_noise = 0;
  uint64_t seed = 0;  // of the noise, with its purpose and step
  Purpose purpose = Purpose::diffusion_noise;
  const uint32_t* step = nullptr;
  /// Of pairs of levels (ConsistencyPoint); null and undefined without.
  const kernels::SampleRecipe* lower = nullptr;
  engine::Tensor lower_c_noise, share, scale;
};

/// Two numbers [1] each, which are one where no loss weight is learned. For pairs both are the sum of weight[i] times
/// the distance of pair i (consistency.h).
struct BatchLoss {
  engine::Tensor error;  // sum_i weight[i] |F(input[i]; c_noise[i]) - target[i]|^2
  /// What gradients are of: sum_i e^{-u(c_noise[i])} of that + u(c_noise[i]) / (a step's samples, of all ranks).
  engine::Tensor learned;
};

/// Over samples first .. first + n; u: null without.
BatchLoss batch_loss(engine::Device&, const TrainingOptions&, const Network&, const LossWeight* u,
                     const DescribedSamples&, int64_t first, int n, const DropoutSource& dropout);

}  // namespace ito::model
