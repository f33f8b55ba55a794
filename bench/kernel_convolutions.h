#pragma once

#include "bench/kernel_case.h"
#include "kernels/conv2d.h"
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
  int m, in, out;
};

}  // namespace ito::bench
