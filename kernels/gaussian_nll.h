#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

/// The parts of a Gaussian's negative log-likelihood, up to factors and constants, that squared_error (squared_error.h)
/// does not have:
///   total = sum_n weight[n] e^{-u[n]} |y[n] - target[n]|^2 + share u[n],
/// least in u where e^{u[n]} = weight[n] |y[n] - target[n]|^2 / share, so that a function u of something known learns
/// the logarithm of the error to be expected. Sources: Kendall, Gal, Cipolla, arXiv:1705.07115; Karras et al.,
/// arXiv:2312.02696, equation 14. All vectors are [N], all scalars [1], f32 (f64 on the CPU).
namespace ito::kernels {

/// scaled[n] = weight[n] e^{-u[n]}: what squared_error's losses are to be weighted with.
void gaussian_nll_weights(CpuStream&, int n, In weight, In u, Out scaled);
void gaussian_nll_weights(CudaStream&, int n, In weight, In u, Out scaled);

/// total = sum_n loss[n] + share u[n] and plain = sum_n loss[n] e^{u[n]}, of losses by scaled weights. Sums run in f64
/// in a fixed order.
void gaussian_nll_total(CpuStream&, int n, double share, In loss, In u, Out total, Out plain);
void gaussian_nll_total(CudaStream&, int n, double share, In loss, In u, Out total, Out plain);

/// du[n] = dtotal (share - loss[n]), of losses by scaled weights.
void gaussian_nll_backward(CpuStream&, int n, double share, In dtotal, In loss, Out du);
void gaussian_nll_backward(CudaStream&, int n, double share, In dtotal, In loss, Out du);

/// Error: no samples.
void check_gaussian_nll(int n);

}  // namespace ito::kernels
