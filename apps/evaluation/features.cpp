#include "apps/evaluation/features.h"

#include <algorithm>

#include "apps/console/number_text.h"
#include "apps/console/stopping.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"

namespace ito::apps {

namespace {

constexpr int64_t kImagesAtOnce = 32;

/// A random half of 0..count-1, marked.
std::vector<char> random_half(int64_t count, uint64_t seed) {
  std::vector<char> marks(static_cast<size_t>(count));
  for (int64_t i = 0; i < count / 2; ++i)
    marks[size_t(permuted_index(seed, 2, uint64_t(i), uint64_t(count)))] = 1;
  return marks;
}

}  // namespace

void FeatureWork::expect(const Side& side) {
  if (networks_.inception && side.has_images()) total_ += side.used;
}

void FeatureWork::show(int64_t done_now) {
  stop_if_interrupted("nothing was written");
  done_ += done_now;
  const double left = (now() - start_) / double(done_) * double(total_ - done_);
  line_.show(
      cat("features   ", thousands(done_), " of ", thousands(total_), " images, ", duration(left), " left"));
}

/// Evenly spread, where there are more than may be kept.
void FeatureWork::keep(SideFeatures& result, const float* features, int64_t image, int64_t count) const {
  const int64_t most = std::min(options_.pairwise, count);
  if ((image + 1) * most / count == image * most / count) return;
  result.values.insert(result.values.end(), features, features + result.columns);
  result.images.push_back(image);
  ++result.kept;
}

void FeatureWork::extract(const Side& side, SideFeatures& result, std::vector<model::FeatureSums>& sums,
                          const std::vector<char>& second_half) {
  const size_t bytes = size_t(side.height) * size_t(side.width) * 3;
  std::vector<uint8_t> images(size_t(kImagesAtOnce) * bytes);
  std::vector<float> features(size_t(kImagesAtOnce * kInceptionWidth));
  std::vector<float> logits(options_.inception_score ? size_t(kImagesAtOnce * kInceptionClasses) : 0);
  constexpr int kSplits = 10;
  std::optional<model::InceptionScore> score;
  if (options_.inception_score && side.used >= kSplits) score.emplace(side.used, kInceptionClasses, kSplits);
  if (start_ == 0) start_ = now();
  for (int64_t begin = 0; begin < side.used; begin += kImagesAtOnce) {
    const int64_t n = std::min(kImagesAtOnce, side.used - begin);
    parallel_for(size_t(n), thread_count(options_.threads),
                 [&](size_t i) { side.read(begin + int64_t(i), images.data() + i * bytes); });
    networks_.inception(images.data(), n, side.height, side.width, features.data(),
                        score ? logits.data() : nullptr);
    for (int64_t i = 0; i < n; ++i) {
      const float* const row = features.data() + i * kInceptionWidth;
      const size_t half = sums.size() == 2 && second_half[size_t(begin + i)];
      sums[half].add({row, 1, kInceptionWidth});
      keep(result, row, begin + i, side.used);
    }
    if (score) score->add(logits.data(), n);
    show(n);
  }
  if (score) result.score = score->result();
}

SideFeatures FeatureWork::features_of(const Side& side, bool halves) {
  SideFeatures result;
  result.columns = side.has_images() ? kInceptionWidth : side.feature_width;
  result.count = side.used;
  const bool from_network = side.has_images() && networks_.inception;
  if (!from_network && side.features.empty()) {
    result.statistics = side.statistics;
    result.missing =
        side.has_images() ? networks_.inception_missing : cat(side.place, " has statistics, not images");
    if (side.statistics) result.count = side.statistics->count;
    return result;
  }
  const bool two = halves && side.used >= 4;
  std::vector<model::FeatureSums> sums(two ? 2 : 1, model::FeatureSums(result.columns));
  const std::vector<char> second_half = random_half(side.used, options_.seed);
  if (from_network) {
    extract(side, result, sums, second_half);
  } else {
    for (int64_t i = 0; i < side.used; ++i) {
      const float* const row = side.features.data() + i * side.feature_width;
      sums[two && second_half[size_t(i)]].add({row, 1, side.feature_width});
      keep(result, row, i, side.used);
    }
  }
  if (two) {
    for (model::FeatureSums& half : sums) result.halves.push_back(half.statistics());
    sums[0].merge(sums[1]);
  }
  result.statistics = side.statistics ? *side.statistics : sums[0].statistics();
  if (side.statistics) result.count = side.statistics->count;
  return result;
}

}  // namespace ito::apps
