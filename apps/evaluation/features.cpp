#include "apps/evaluation/features.h"

#include <algorithm>

#include "apps/console/number_text.h"
#include "apps/evaluation/rounds.h"
#include "apps/inputs/give_way.h"
#include "kernels/base/clock.h"
#include "kernels/base/error.h"
#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"
#include "model/metrics/inception.h"

namespace ito::apps {

namespace {

constexpr int64_t kImagesAtOnce = 32, kFeatures = model::Inception::kFeatures,
                  kClasses = model::Inception::kClasses;

/// How many images statistics are of; files of statistics do not say.
std::optional<int64_t> known_count(const model::FeatureStatistics& s) {
  return s.count > 0 ? std::optional(s.count) : std::nullopt;
}

}  // namespace

std::vector<char> random_half(int64_t count, uint64_t seed) {
  std::vector<char> marks(static_cast<size_t>(count));
  for (int64_t i = 0; i < count / 2; ++i)
    marks[size_t(permuted_index(seed, 2, uint64_t(i), uint64_t(count)))] = 1;
  return marks;
}

void FeatureWork::expect(const Side& side) {
  if (networks_.inception && side.images) total_ += side.used;
}

void FeatureWork::show(int64_t done_now) {
  done_ += done_now;
  const double left = (now() - start_) / double(done_) * double(total_ - done_);
  line_.show(
      cat("features   ", thousands(done_), " of ", thousands(total_), " images, ", duration(left), " left"));
}

/// Keeps them evenly spread, if there are more than may be kept.
void FeatureWork::keep(SideFeatures& result, const float* features, int64_t image, int64_t count) const {
  const int64_t most = std::min(options_.pairwise, count);
  if ((image + 1) * most / count == image * most / count) return;
  result.values.insert(result.values.end(), features, features + result.columns);
  result.images.push_back(image);
  ++result.kept;
}

void FeatureWork::extract(const Side& side, SideFeatures& result, std::vector<model::FeatureSums>& sums,
                          const std::vector<char>& second_half) {
  const size_t bytes = side.images->bytes();
  const auto [width, height] = side.images->size();
  std::vector<uint8_t> images(size_t(kImagesAtOnce) * bytes);
  constexpr int kSplits = 10;
  std::optional<model::InceptionScore> score;
  if (options_.inception_score && side.used >= kSplits) score.emplace(side.used, kClasses, kSplits);
  if (start_ == 0) start_ = now();
  // A chunk's features, and then its logits.
  const auto make = [&, height = height, width = width](int64_t first, int64_t n, float* out) {
    give_way();
    parallel_for(size_t(n), thread_count(options_.threads),
                 [&](size_t i) { side.images->read(first + int64_t(i), images.data() + i * bytes); });
    networks_.inception(images.data(), n, height, width, out, score ? out + n * kFeatures : nullptr);
  };
  const auto take = [&](int64_t first, int64_t n, const float* features) {
    if (!collects()) return;
    for (int64_t i = 0; i < n; ++i) {
      const float* const row = features + i * kFeatures;
      const size_t half = sums.size() == 2 && second_half[size_t(first + i)];
      sums[half].add({row, 1, kFeatures});
      keep(result, row, first + i, side.used);
    }
    if (score) score->add(features + n * kFeatures, n);
    show(n);
  };
  in_rounds<float>(ranks_, {side.used, kImagesAtOnce, score ? kFeatures + kClasses : kFeatures}, make, take);
  if (score && collects()) result.score = score->result();
}

SideFeatures FeatureWork::features_of(const Side& side, bool halves) {
  SideFeatures result;
  result.count = side.statistics ? known_count(*side.statistics) : side.used;
  const bool from_network = side.images && networks_.inception;
  if (!from_network && !side.features) {
    result.statistics = side.statistics;
    result.missing =
        side.images ? networks_.inception_missing : cat(side.place(), " has statistics, not images");
    return result;
  }
  result.columns = from_network ? kFeatures : side.features->width;
  if (!from_network && !collects()) return result;
  const bool two = halves && side.used >= 4;
  std::vector<model::FeatureSums> sums;
  if (collects()) sums.assign(two ? 2 : 1, model::FeatureSums(result.columns));
  const std::vector<char> second_half = random_half(side.used, options_.seed);
  if (from_network) {
    extract(side, result, sums, second_half);
  } else {
    for (int64_t i = 0; i < side.used; ++i) {
      const float* const row = side.features->values.data() + i * result.columns;
      sums[two && second_half[size_t(i)]].add({row, 1, result.columns});
      keep(result, row, i, side.used);
    }
  }
  if (!collects()) return result;
  if (two) {
    for (model::FeatureSums& half : sums) result.halves.push_back(half.statistics());
    sums[0].merge(sums[1]);
  }
  result.statistics = side.statistics ? *side.statistics : sums[0].statistics();
  return result;
}

}  // namespace ito::apps
