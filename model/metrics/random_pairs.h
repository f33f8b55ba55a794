#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace ito::model {

/// min(most, count / 2) pairs of 0..count-1 in which no number occurs twice: neighbours in the permutation
/// that `seed` chooses (kernels/base/philox.h).
std::vector<std::pair<int64_t, int64_t>> random_pairs(int64_t count, int64_t most, uint64_t seed);

struct MeanAndError {
  double mean = 0;
  double error = 0;  // of the mean: deviation with divisor n - 1, over the root of n; 0 for one value
};

/// Error: no values.
MeanAndError mean_and_error(const std::vector<double>& values);

}  // namespace ito::model
