#pragma once

#include <cstdint>
#include <functional>

#include "model/metrics/features.h"

namespace ito::model {

struct KernelDistanceOptions {
  int subsets = 100;
  int64_t subset_size = 1000;  // cut to the smaller set
  uint32_t seed = 2020;
};

struct KernelDistance {
  double mean = 0, deviation = 0;  // over the subsets, divisor their number
  int64_t subset_size = 0;
};

/// KID (Binkowski et al., 2018, arXiv:1801.01401): the unbiased squared MMD with k(x,y) = (x.y / D + 1)^3
/// between subsets drawn without replacement. NumPy's RandomState(seed) draws them as torch-fidelity does:
/// one of `a`, one of `b`, and so on. In f64. Error: fewer than two rows, different widths.
KernelDistance kernel_distance(const FeatureRows& a, const FeatureRows& b, const KernelDistanceOptions& = {},
                               const std::function<void(int done, int total)>& progress = {});

}  // namespace ito::model
