#pragma once

#include "kernels/activation.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// x is the concatenation of two sources along channels: x [N,HW,c1] and, where c2 > 0, x2 [N,HW,c2]. It is
/// never materialised. Groups may straddle the boundary. C = c1 + c2 must be a multiple of groups.
struct GroupNormDims {
  int n, hw, c1, c2, groups;
  float eps;
  Activation activation;
  bool affine_per_sample = false;  // gamma and beta are [N,C]: see scale_shift.h
  int c() const { return c1 + c2; }
};

/// What both passes read.
struct GroupNormInputs {
  In x, x2 = {};   // [N,HW,c1], [N,HW,c2]; x2: null where c2 = 0
  In gamma, beta;  // [C], or [N,C] with affine_per_sample
};

/// y = act(gamma * (x - mean) * rstd + beta); mean and variance (biased) over HW and the C/groups channels of
/// a group, per sample; rstd = 1/sqrt(var + eps). y [N,HW,C] has x's dtype; gamma, beta and mean, rstd
/// [N,groups] are f32 (f64 if x is). Statistics by Welford/Chan in f32 or wider; y may not overlap x. Source:
/// Wu & He, arXiv:1803.08494, section 3.
void group_norm_forward(CpuStream&, const GroupNormDims&, const GroupNormInputs&, Out y, Out mean, Out rstd);
void group_norm_forward(CudaStream&, const GroupNormDims&, const GroupNormInputs&, Out y, Out mean, Out rstd);

struct GroupNormGradients {
  Out dx = {}, dx2 = {};        // as x and x2; null: not wanted
  Out dgamma = {}, dbeta = {};  // as gamma and beta; both null: not wanted
};

/// With g = dy * act'(v), h = gamma * g and xh = (x - mean) * rstd:
///   dx = rstd * (h - mean_group(h) - xh * mean_group(h * xh))
///   dgamma = sum_{n,hw} g * xh, dbeta = sum_{n,hw} g; with affine_per_sample sum_{hw} alone
/// dy [N,HW,C]. partial: scratch of group_norm_partial_floats() elements of gamma's dtype, never null; with
/// affine_per_sample there is none, and it is not read. Sums have a fixed order.
void group_norm_backward(CpuStream&, const GroupNormDims&, const GroupNormInputs&, In dy, In mean, In rstd,
                         const GroupNormGradients&, Out partial);
void group_norm_backward(CudaStream&, const GroupNormDims&, const GroupNormInputs&, In dy, In mean, In rstd,
                         const GroupNormGradients&, Out partial);
/// Two sums per sample and channel; none where they are the results.
inline size_t group_norm_partial_floats(const GroupNormDims& d) {
  return d.affine_per_sample ? 0 : size_t(2) * d.n * d.c();
}

/// Error: sizes that are not positive, or channels that are not a multiple of the groups.
void check_group_norm(const GroupNormDims&);
/// Error: as above, no x, or an x2 without c2, or c2 without an x2.
void check_group_norm(const GroupNormDims&, const GroupNormInputs&);
/// Error: as above, one of dgamma and dbeta without the other, or no partial where there is one.
void check_group_norm(const GroupNormDims&, const GroupNormInputs&, const GroupNormGradients&, Out partial);

}  // namespace ito::kernels
