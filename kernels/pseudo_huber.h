#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

/// The pseudo-Huber distance (Charbonnier et al., 1997; of consistency models: Song, Dhariwal, arXiv:2310.14189,
/// section 3.3), as far as squared_error (squared_error.h) does not have it:
///   total = sum_n weight[n] (sqrt(squares[n] + c^2) - c),   squares[n] = scale[n] |y[n] - target[n]|^2,
/// a square where that is small against c, and the distance itself where it is large. Vectors are [N], f32 (f64 on the
/// CPU).
namespace ito::kernels {

struct PseudoHuberOperands {
  In squares, scale, weight;  // squares: squared_error's losses by the weights `scale`
};

/// total [1], and slope[n] = weight[n] scale[n] / (2 sqrt(squares[n] + c^2)): the weights with which squared_error's
/// backward pass gives the gradient. The sum runs in f64 in a fixed order.
void pseudo_huber(CpuStream&, int n, double c, const PseudoHuberOperands&, Out slope, Out total);
void pseudo_huber(CudaStream&, int n, double c, const PseudoHuberOperands&, Out slope, Out total);

/// Error: no samples; c is not above 0, without which there is no gradient at 0.
void check_pseudo_huber(int n, double c);

}  // namespace ito::kernels
