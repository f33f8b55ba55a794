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
  int c() const { return c1 + c2; }
};

/// y = act(gamma * (x - mean) * rstd + beta); mean and variance (biased) over HW and the C/groups channels of
/// a group, per sample; rstd = 1/sqrt(var + eps); act is the identity, SiLU v/(1+e^-v) or ReLU. y [N,HW,C]
/// has x's dtype; gamma, beta [C] and mean, rstd [N,groups] are f32 (f64 if x is). Statistics by Welford/Chan
/// in f32 or wider; y may not overlap x. Source: Wu & He, arXiv:1803.08494, section 3.
void group_norm_forward(CpuStream&, const GroupNormDims&, In x, In x2, In gamma, In beta, Out y, Out mean,
                        Out rstd);
void group_norm_forward(CudaStream&, const GroupNormDims&, In x, In x2, In gamma, In beta, Out y, Out mean,
                        Out rstd);

/// With g = dy * act'(v), h = gamma * g and xh = (x - mean) * rstd:
/// dx = rstd * (h - mean_group(h) - xh * mean_group(h * xh)); dgamma = sum_{n,hw} g * xh; dbeta = sum_{n,hw}
/// g. dx [N,HW,c1], dx2 [N,HW,c2] (either may be null: not wanted); dgamma, dbeta [C] as gamma (both null:
/// not wanted). partial: scratch of group_norm_partial_floats() elements of gamma's dtype. Sums have a fixed
/// order.
void group_norm_backward(CpuStream&, const GroupNormDims&, In dy, In x, In x2, In gamma, In beta, In mean,
                         In rstd, Out dx, Out dx2, Out dgamma, Out dbeta, Out partial);
void group_norm_backward(CudaStream&, const GroupNormDims&, In dy, In x, In x2, In gamma, In beta, In mean,
                         In rstd, Out dx, Out dx2, Out dgamma, Out dbeta, Out partial);
/// Two sums per sample and channel.
inline size_t group_norm_partial_floats(const GroupNormDims& d) { return size_t(2) * d.n * d.c(); }

}  // namespace ito::kernels
