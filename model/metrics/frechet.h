#pragma once

#include <cstdint>
#include <vector>

#include "model/metrics/features.h"

namespace ito::model {

/// A Gaussian fitted to feature vectors: mean [D] and covariance [D,D] with divisor count - 1, in f64.
struct FeatureStatistics {
  int64_t count = 0;  // 0: not known (read from a file that does not say)
  std::vector<double> mean, covariance;

  int64_t dimensions() const { return int64_t(mean.size()); }
};

/// Sums and products of feature vectors in f64, any number of rows at a time: the result has the same bits
/// however they are divided. Memory: D^2 numbers and kBlock rows, whatever the count.
class FeatureSums {
 public:
  static constexpr int64_t kBlock = 256;

  explicit FeatureSums(int64_t dimensions);
  /// Error: rows of another width, numbers that are not finite.
  void add(const FeatureRows& rows);
  /// As if the other's rows had been added, too.
  void merge(FeatureSums& other);
  int64_t count() const { return count_; }
  /// Error: fewer than two rows.
  FeatureStatistics statistics();

 private:
  void take_block();

  int64_t dimensions_, count_ = 0;
  std::vector<float> block_;  // rows that wait
  std::vector<double> sum_, products_;
};

/// |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), the squared Frechet distance of two Gaussians; between
/// features of the FID network it is FID (Heusel et al., 2017, arXiv:1706.08500). With S1 = B B^T by a
/// pivoted LDLT the last trace is the sum of the roots of the eigenvalues of B^T S2 B, whatever the ranks.
/// Error: different dimensions, numbers that are not finite.
double frechet_distance(const FeatureStatistics& a, const FeatureStatistics& b);

/// tr S.
double trace(const FeatureStatistics& s);

}  // namespace ito::model
