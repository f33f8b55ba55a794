#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

/// The affine map after a normalisation, modulated by each sample's embedding: with modulation [N,2C] = [s | b],
///   (gamma xh + beta) (1 + s) + b = scale xh + shift.
/// ADM's adaptive group normalisation (Dhariwal, Nichol, arXiv:2105.05233, section 3.1), diffusers'
/// resnet_time_scale_shift = scale_shift.
namespace ito::kernels {

struct ScaleShiftDims {
  int n, c;
};

/// What both passes read.
struct ScaleShiftInputs {
  In gamma, beta;  // [C], f32 (f64 if the modulation is)
  In modulation;   // [N,2C], f32, bf16 or f64
};

/// scale[n,c] = gamma[c] (1 + s[n,c]), shift[n,c] = beta[c] (1 + s[n,c]) + b[n,c]; both [N,C], of gamma's dtype.
void scale_shift_forward(CpuStream&, const ScaleShiftDims&, const ScaleShiftInputs&, Out scale, Out shift);
void scale_shift_forward(CudaStream&, const ScaleShiftDims&, const ScaleShiftInputs&, Out scale, Out shift);

struct ScaleShiftGradients {
  Out dgamma = {}, dbeta = {};  // as gamma and beta; both null: not wanted
  Out dmodulation = {};         // as the modulation; null: not wanted
};

/// ds = dscale gamma + dshift beta, db = dshift; dgamma = sum_n dscale (1 + s), dbeta = sum_n dshift (1 + s). dscale,
/// dshift [N,C] of gamma's dtype. Sums run in f32 or wider in a fixed order.
void scale_shift_backward(CpuStream&, const ScaleShiftDims&, const ScaleShiftInputs&, In dscale, In dshift,
                          const ScaleShiftGradients&);
void scale_shift_backward(CudaStream&, const ScaleShiftDims&, const ScaleShiftInputs&, In dscale, In dshift,
                          const ScaleShiftGradients&);

/// Error: a size that is not positive.
void check_scale_shift(const ScaleShiftDims&);
/// Error: as above, or one of dgamma and dbeta without the other.
void check_scale_shift(const ScaleShiftDims&, const ScaleShiftGradients&);

}  // namespace ito::kernels
