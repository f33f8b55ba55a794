#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

struct SquaredErrorOperands {
  In y;       // [N,D] f32, bf16 or f64
  In target;  // [N,D] f32 (f64 if y is)
  In weight;  // [N], of target's dtype
};

/// loss[n] = weight[n] * sum_e (y[n,e] - target[n,e])^2 and total = sum_n loss[n]; loss [N], total [1], of target's
/// dtype. Sums run in f64 in a fixed order.
void squared_error_forward(CpuStream&, int n, int64_t per_sample, const SquaredErrorOperands&, Out loss,
                           Out total);
void squared_error_forward(CudaStream&, int n, int64_t per_sample, const SquaredErrorOperands&, Out loss,
                           Out total);
/// dy[n,e] = dtotal * 2 weight[n] (y[n,e] - target[n,e]); dtotal [1], of target's dtype.
void squared_error_backward(CpuStream&, int n, int64_t per_sample, In dtotal, const SquaredErrorOperands&,
                            Out dy);
void squared_error_backward(CudaStream&, int n, int64_t per_sample, In dtotal, const SquaredErrorOperands&,
                            Out dy);

/// Error: a number of samples or elements that is not positive.
void check_squared_error(int n, int64_t per_sample);

}  // namespace ito::kernels
