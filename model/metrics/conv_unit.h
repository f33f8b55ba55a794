#pragma once

#include "engine/device.h"
#include "engine/ops.h"

namespace ito::model {

using engine::Device;
using engine::DType;
using engine::Tensor;

/// What a device keeps of a trained network: f32 numbers that outlive a step.
Tensor resident(Device&, const engine::Shape&, const std::vector<float>& values);

/// relu(conv(x) + bias), with weights at rest: a layer of a network that is only applied.
class ConvUnit {
 public:
  /// w [K,C,R,S], as PyTorch has it; bias [K].
  ConvUnit(Device&, const std::vector<int64_t>& shape, const std::vector<float>& w,
           const std::vector<float>& bias, int stride, const engine::Padding&);
  /// [N,H,W,C] -> [N,P,Q,K]
  Tensor operator()(const Tensor& x) const;

 private:
  Tensor w_, bias_;
  int stride_;
  engine::Padding padding_;
};

}  // namespace ito::model
