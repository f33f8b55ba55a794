#include "model/training/loss_weight.h"

namespace ito::model {

using engine::Init;
using engine::Tensor;

namespace {

constexpr int kFrequencies = 64;

}  // namespace

// The weight is a vector, so that it is neither decayed nor rounded to bf16.
LossWeight::LossWeight(const engine::Scope& scope)
    : frequencies(scope.auxiliary().fixed("frequencies", {kFrequencies}, Init::normal(1))),
      weight(scope.auxiliary().weight("weight", {2 * kFrequencies}, Init::zeros())),
      bias(scope.auxiliary().weight("bias", {1}, Init::zeros())) {}

Tensor LossWeight::operator()(const Tensor& c_noise) const {
  const Tensor features = gaussian_fourier(c_noise, frequencies(), true, engine::DType::f32);  // [N,128]
  const Tensor u = linear(features, reshape(weight(), {1, 2 * kFrequencies}), bias());         // [N,1]
  return reshape(u, {c_noise.shape()[0]});                                                     // [N]
}

}  // namespace ito::model
