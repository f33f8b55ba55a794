#include "model/metrics/random_pairs.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

namespace ito::model {

std::vector<std::pair<int64_t, int64_t>> random_pairs(int64_t count, int64_t most, uint64_t seed) {
  std::vector<std::pair<int64_t, int64_t>> pairs;
  const auto at = [&](int64_t position) {
    return int64_t(permuted_index(seed, 0, uint64_t(position), uint64_t(count)));
  };
  for (int64_t i = 0; i < std::min(most, count / 2); ++i) pairs.emplace_back(at(2 * i), at(2 * i + 1));
  return pairs;
}

MeanAndError mean_and_error(const std::vector<double>& values) {
  if (values.empty()) fail("there are no pairs to take a mean of: one image is too few, take two or more");
  const double n = double(values.size());
  MeanAndError result;
  for (const double v : values) result.mean += v / n;
  if (values.size() == 1) return result;
  double squares = 0;
  for (const double v : values) squares += (v - result.mean) * (v - result.mean);
  result.error = std::sqrt(squares / (n - 1) / n);
  return result;
}

}  // namespace ito::model
