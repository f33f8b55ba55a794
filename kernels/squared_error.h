#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// loss[n] = weight[n] * sum_e (y[n,e] - target[n,e])^2 and total = sum_n loss[n].
/// y [N,D] f32, bf16 or f64; target [N,D], weight [N], loss [N], total [1] f32 (f64 if y is). Sums run in f64
/// in a fixed order.
void squared_error_forward(CpuStream&, int n, int64_t per_sample, In y, In target, In weight, Out loss,
                           Out total);
void squared_error_forward(CudaStream&, int n, int64_t per_sample, In y, In target, In weight, Out loss,
                           Out total);
/// dy[n,e] = dtotal * 2 weight[n] (y[n,e] - target[n,e]); dtotal [1].
void squared_error_backward(CpuStream&, int n, int64_t per_sample, In dtotal, In y, In target, In weight,
                            Out dy);
void squared_error_backward(CudaStream&, int n, int64_t per_sample, In dtotal, In y, In target, In weight,
                            Out dy);

}  // namespace ito::kernels
