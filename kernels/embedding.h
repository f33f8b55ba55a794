#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// y[n] = [sin(2 pi w c[n]), cos(2 pi w c[n])]; c [N], w [half] f32 (f64 if y is), y [N, 2 half] f32, bf16 or
/// f64. The angle is reduced modulo 1 turn before sin and cos, in f64. Source: Tancik et al.,
/// arXiv:2006.10739. two_pi = false leaves out the factor: phi(t) = [sin W t, cos W t], as preset `document` has it.
void gaussian_fourier(CpuStream&, int n, int half, bool two_pi, In c, In w, Out y);
void gaussian_fourier(CudaStream&, int n, int half, bool two_pi, In c, In w, Out y);

/// Transformer position embedding of t [N]: angle_k = t * max_period^(-k / (half - freq_shift)), k =
/// 0..half-1; y[n] = [sin, cos], or [cos, sin] with flip. As diffusers' get_timestep_embedding
/// (arXiv:2006.11239, appendix B).
struct SinusoidalOptions {
  bool flip_sin_to_cos = true;
  float freq_shift = 0;
  float max_period = 10000;
};
void sinusoidal(CpuStream&, int n, int half, const SinusoidalOptions&, In t, Out y);
void sinusoidal(CudaStream&, int n, int half, const SinusoidalOptions&, In t, Out y);

/// Error: a number of samples or of frequencies that is not positive.
void check_embedding(const char* op, int n, int half);

}  // namespace ito::kernels
