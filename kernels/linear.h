#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// y[m,o] = bias[o] + sum_i x[m,i] w[o,i]. x [M,I], y [M,O] of one dtype; w [O,I], bias [O] (may be null) f32
/// (f64 if x is).
void linear_forward(CpuStream&, int m, int in, int out, In x, In w, In bias, Out y);
void linear_forward(CudaStream&, int m, int in, int out, In x, In w, In bias, Out y);
/// dx[m,i] = sum_o dy[m,o] w[o,i].
void linear_backward_data(CpuStream&, int m, int in, int out, In dy, In w, Out dx);
void linear_backward_data(CudaStream&, int m, int in, int out, In dy, In w, Out dx);
/// dw[o,i] = sum_m dy[m,o] x[m,i]; dbias[o] = sum_m dy[m,o] (may be null). f32 (f64 if x is).
void linear_backward_weights(CpuStream&, int m, int in, int out, In dy, In x, Out dw, Out dbias);
void linear_backward_weights(CudaStream&, int m, int in, int out, In dy, In x, Out dw, Out dbias);

}  // namespace ito::kernels
