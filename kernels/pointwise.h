#pragma once

#include "kernels/activation.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

/// Memory-bound maps over contiguous tensors. All operands of a call have one dtype unless stated otherwise; a result
/// may alias an operand.
namespace ito::kernels {

/// y = act(x), elementwise over `count` numbers; backward: dx = dy act'(x).
void activation_forward(CpuStream&, int64_t count, Activation, In x, Out y);
void activation_forward(CudaStream&, int64_t count, Activation, In x, Out y);
void activation_backward(CpuStream&, int64_t count, Activation, In dy, In x, Out dx);
void activation_backward(CudaStream&, int64_t count, Activation, In dy, In x, Out dx);

/// y = alpha a + beta b (b may be null: y = alpha a). y's dtype may differ from the operands': a cast.
void add_scaled(CpuStream&, int64_t count, double alpha, In a, double beta, In b, Out y);
void add_scaled(CudaStream&, int64_t count, double alpha, In a, double beta, In b, Out y);

/// y = value, everywhere.
void fill(CpuStream&, int64_t count, double value, Out y);
void fill(CudaStream&, int64_t count, double value, Out y);

/// y[n,hw,c] = x[n,hw,c] + bias[n,c]: the time embedding's way into a block.
void add_channels_forward(CpuStream&, int n, int hw, int c, In x, In bias, Out y);
void add_channels_forward(CudaStream&, int n, int hw, int c, In x, In bias, Out y);
/// dbias[n,c] = sum_hw dy[n,hw,c], of bias's dtype; summed in f32 or wider.
void add_channels_backward(CpuStream&, int n, int hw, int c, In dy, Out dbias);
void add_channels_backward(CudaStream&, int n, int hw, int c, In dy, Out dbias);

/// y[n,e] = scale[n] x[n,e]; scale [N] f32 (f64 if x is). Per-sample preconditioning; its own backward.
void scale_samples(CpuStream&, int n, int64_t per_sample, In x, In scale, Out y);
void scale_samples(CudaStream&, int n, int64_t per_sample, In x, In scale, Out y);

/// Error: a number of samples or elements that is not positive.
void check_pointwise(const char* op, int64_t samples, int64_t per_sample);

}  // namespace ito::kernels
