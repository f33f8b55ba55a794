#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/timing.h"
#include "engine/device.h"

namespace ito::bench {

using engine::Device;
using engine::DType;
using engine::Shape;
using engine::Tensor;

/// Makes operands. Inputs are normal random numbers: a GPU's clock is higher on zeros than on anything real.
class Operands {
 public:
  explicit Operands(Device&);
  Device& device() const { return device_; }
  Tensor normal(const Shape&, DType);
  Tensor zeros(const Shape& shape, DType dtype) { return Tensor::persistent(device_, shape, dtype); }
  /// Scratch of a kernel; undefined where it needs none.
  Tensor workspace(size_t bytes);

 private:
  Device& device_;
  Tensor f32_, bf16_;  // some numbers, of which all operands are repetitions
};

/// What does the same job otherwise: another library, or several of our unfused kernels.
struct Baseline {
  std::string name;
  Runnable run;                             // empty: there is no baseline
  std::vector<Runnable> alternatives = {};  // which may refuse: the fastest of all is reported
};

/// A case with its operands, ready to run; they live as long as it does.
struct PreparedCase {
  Runnable run;
  Baseline baseline;
  Tensor result;  // written by both, to be compared; undefined where the baseline has operands of its own
};

/// One row of the table: a kernel and a shape.
struct Case {
  std::string kind;   // "convolution"
  std::string name;   // "conv2d_forward"
  std::string shape;  // "32x64x64x128 -> 128, 3x3"
  std::string dtype;  // "bf16"
  int uses = 0;       // in a training step of the network (sampler: in a sampling step); 0: it has none
  double flops = 0;   // of the definition, 2 for a multiply-add; 0: its time is that of its bytes
  double bytes = 0;   // that must be moved at least: each operand once
  std::function<PreparedCase(Operands&)> prepare;
};

}  // namespace ito::bench
