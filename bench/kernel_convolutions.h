#pragma once

#include "bench/kernel_case.h"
#include "kernels/linear.h"

namespace ito::bench {

/// Operands of one pass of a product of weights with activations; those that a pass writes are gradients.
struct PassTensors {
  kernels::ConvPass pass;
  Tensor x, w, bias, y, workspace;

  /// The one that the pass writes.
  const Tensor& result() const {
    return pass == kernels::ConvPass::forward ? y : pass == kernels::ConvPass::backward_data ? x : w;
  }
};

struct ConvTensors : PassTensors {
  kernels::Conv2dDims dims;
  Tensor x2;                       // undefined where there is one source
  Tensor shift, residual;          // of an epilogue, or undefined
  Tensor after_conv, after_shift;  // between the kernels of the unfused sequence
};

/// x [M,I] w^T [O,I] -> y [M,O].
struct ProductTensors : PassTensors {
  kernels::LinearDims dims;
};

/// The pass that the tensors are for, with a workspace that is large enough for the policy.
void run_pass(Device&, kernels::ConvPolicy&, ConvTensors&, Tensor& workspace);
void run_pass(Device&, kernels::ConvPolicy&, ProductTensors&, Tensor& workspace);

}  // namespace ito::bench
