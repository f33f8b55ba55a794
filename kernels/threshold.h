#pragma once

#include "kernels/sde_update.h"

namespace ito::kernels {

struct DynamicLimitDims {
  int n;            // images
  int per_image;    // elements of an image, D = H*W*C
  double quantile;  // q, in (0, 1]
};

/// What D_0 is computed from, as by sde_update: x [N,D] f32 (f64 on the CPU), f and guide_f [N,D] f32 or bf16, both of
/// one dtype; guide_f may be null.
struct DynamicLimitOperands {
  In x, f, guide_f;
};

/// limit[n] = max(1, the q-quantile of |D_0| over the elements of image n), [N] of x's dtype: sde_update's limit for
/// dynamic thresholding (arXiv:2205.11487, section 2.3). D_0 is that of a step without a limit. The quantile is
/// interpolated linearly at position q (D - 1) of the sorted values, as torch.quantile does it. NaN where D_0 has one.
/// An image's limit does not depend on the others.
void dynamic_limit(CpuStream&, const DynamicLimitDims&, const SdeStep* step, const DynamicLimitOperands&,
                   Out limit);
void dynamic_limit(CudaStream&, const DynamicLimitDims&, const SdeStep* step, const DynamicLimitOperands&,
                   Out limit);

/// Error: dims and operands that do not fit together.
void check_dynamic_limit(const DynamicLimitDims&, const DynamicLimitOperands&, In limit);

}  // namespace ito::kernels
