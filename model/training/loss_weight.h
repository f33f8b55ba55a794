#pragma once

#include "engine/ops.h"
#include "engine/parameters.h"

namespace ito::model {

/// u(c_noise), the logarithm of the loss to be expected at a noise level, learned with the network so that every
/// level's loss counts in units of what is to be expected there (kernels/gaussian_nll.h). One linear layer on Fourier
/// features, as in Karras et al., arXiv:2312.02696, section 3.1; it starts as zero and is no part of the model.
struct LossWeight {
  engine::Parameter frequencies, weight, bias;  // [64], fixed; [128], [1]
  explicit LossWeight(const engine::Scope&);
  /// c_noise [N] f32 -> [N] f32.
  engine::Tensor operator()(const engine::Tensor& c_noise) const;
};

}  // namespace ito::model
