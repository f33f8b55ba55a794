#pragma once

#include "kernels/conv2d.h"  // ConvPass
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Scratch that a pass needs, in bytes, as conv2d_workspace_bytes: a product is a 1x1 convolution.
size_t linear_workspace_bytes(CpuStream&, int m, int in, int out, DType, ConvPass);
size_t linear_workspace_bytes(CudaStream&, int m, int in, int out, DType, ConvPass);

/// y[m,o] = sum_i x[m,i] w[o,i] + bias[o] + residual[m,o]. x [M,I], y and residual [M,O] of one dtype; w
/// [O,I], bias [O] f32 (f64 if x is; on CUDA w may be bf16 beside bf16 x, and is rounded to it otherwise).
/// bias and residual may be null. Rounded once.
void linear_forward(CpuStream&, int m, int in, int out, In x, In w, In bias, In residual, Out y,
                    Out workspace);
void linear_forward(CudaStream&, int m, int in, int out, In x, In w, In bias, In residual, Out y,
                    Out workspace);
/// dx[m,i] = sum_o dy[m,o] w[o,i].
void linear_backward_data(CpuStream&, int m, int in, int out, In dy, In w, Out dx, Out workspace);
void linear_backward_data(CudaStream&, int m, int in, int out, In dy, In w, Out dx, Out workspace);
/// dw[o,i] = sum_m dy[m,o] x[m,i]; dbias[o] = sum_m dy[m,o] (may be null). f32 (f64 if x is).
void linear_backward_weights(CpuStream&, int m, int in, int out, In dy, In x, Out dw, Out dbias,
                             Out workspace);
void linear_backward_weights(CudaStream&, int m, int in, int out, In dy, In x, Out dw, Out dbias,
                             Out workspace);

}  // namespace ito::kernels
