#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/console/live_line.h"
#include "apps/evaluation/evaluation.h"
#include "model/metrics/inception_score.h"

namespace ito::apps {

/// A random half of 0 .. count - 1, marked by 1.
std::vector<char> random_half(int64_t count, uint64_t seed);

/// What is known about a side's features.
struct SideFeatures {
  std::optional<int64_t> count;  // images behind the statistics, if known
  std::string missing;           // why there are no statistics
  std::optional<model::FeatureStatistics> statistics;
  std::vector<model::FeatureStatistics> halves;  // of two random halves, if wanted and possible
  std::vector<float> values;                     // [kept, columns]
  std::vector<int64_t> images;                   // [kept] indices in the side
  int64_t kept = 0, columns = 0;
  std::optional<model::InceptionScore::Result> score;

  model::FeatureRows rows() const { return {values.data(), kept, columns}; }
};

/// Computes features by the network, a few images at a time, which ranks share: their sums, and for at most `pairwise`
/// images keeps the features themselves. One line of progress for both sides.
class FeatureWork {
 public:
  FeatureWork(const MetricNetworks& networks, const EvaluationOptions& options, kernels::Wire& ranks)
      : networks_(networks), options_(options), ranks_(ranks) {}
  /// Announces a side, so that the time left can be shown.
  void expect(const Side& side);
  /// All ranks call it, and rank 0 gets them; the others know what is missing.
  SideFeatures features_of(const Side& side, bool halves);
  void end() { line_.end(); }

 private:
  void extract(const Side& side, SideFeatures& result, std::vector<model::FeatureSums>& sums,
               const std::vector<char>& second_half);
  void keep(SideFeatures& result, const float* features, int64_t image, int64_t count) const;
  void show(int64_t done_now);
  bool collects() const { return ranks_.rank() == 0; }

  const MetricNetworks& networks_;
  const EvaluationOptions& options_;
  kernels::Wire& ranks_;
  int64_t total_ = 0, done_ = 0;
  double start_ = 0;
  LiveLine line_;
};

}  // namespace ito::apps
