#pragma once

#include "kernels/conv2d.h"

namespace ito::kernels {

/// x [m,in] times the transpose of w [out,in]. To ConvPolicy a product is a 1x1 convolution of m images of one
/// pixel.
struct LinearDims {
  int m, in, out;
  Conv2dDims as_convolution() const { return {.n = m, .h = 1, .w = 1, .c1 = in, .k = out}; }
};

/// Error unless every size is positive.
void check_linear(const LinearDims&);

/// Scratch that a pass needs, in bytes, as conv2d_workspace_bytes.
size_t linear_workspace_bytes(CpuStream&, const ConvPolicy&, const LinearDims&, DType, ConvPass);
size_t linear_workspace_bytes(CudaStream&, const ConvPolicy&, const LinearDims&, DType, ConvPass);

/// x [M,I], y and residual [M,O] of one dtype; w [O,I], bias [O] f32 (f64 if x is; on CUDA w may be bf16 with
/// bf16 x, and is rounded to it otherwise). bias and residual may be null. workspace: of linear_workspace_bytes.
struct LinearForward {
  In x, w, bias = {}, residual = {};
  Out y, workspace = {};
};
/// y[m,o] = sum_i x[m,i] w[o,i] + bias[o] + residual[m,o], rounded once.
void linear_forward(CpuStream&, const ConvPolicy&, const LinearDims&, const LinearForward&);
void linear_forward(CudaStream&, ConvPolicy&, const LinearDims&, const LinearForward&);

struct LinearBackwardData {
  In dy, w;
  Out dx, workspace = {};
};
/// dx[m,i] = sum_o dy[m,o] w[o,i].
void linear_backward_data(CpuStream&, const ConvPolicy&, const LinearDims&, const LinearBackwardData&);
void linear_backward_data(CudaStream&, ConvPolicy&, const LinearDims&, const LinearBackwardData&);

/// dw and dbias (may be null) are f32 (f64 if x is).
struct LinearBackwardWeights {
  In dy, x;
  Out dw, dbias = {}, workspace = {};
};
/// dw[o,i] = sum_m dy[m,o] x[m,i]; dbias[o] = sum_m dy[m,o].
void linear_backward_weights(CpuStream&, const ConvPolicy&, const LinearDims&, const LinearBackwardWeights&);
void linear_backward_weights(CudaStream&, ConvPolicy&, const LinearDims&, const LinearBackwardWeights&);

}  // namespace ito::kernels
