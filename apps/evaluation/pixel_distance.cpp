#include "apps/evaluation/pixel_distance.h"

#include "apps/evaluation/features.h"
#include "apps/evaluation/rounds.h"
#include "apps/inputs/give_way.h"
#include "kernels/base/parallel.h"
#include "model/metrics/frechet.h"
#include "model/metrics/pixel_features.h"

namespace ito::apps {
namespace {

using model::FeatureSums;
using model::kPixelFeatures;

/// Sums over a side's images, those of a random half apart from the others'.
struct Halves {
  FeatureSums first{kPixelFeatures}, second{kPixelFeatures};
};

Halves sums_of(const Side& side, const EvaluationOptions& o, kernels::Wire& ranks) {
  constexpr int64_t kAtOnce = 64;
  const auto [width, height] = side.images->size();
  const std::vector<char> second = random_half(side.used, o.seed);
  Halves sums;
  const auto make = [&, height = height, width = width](int64_t first, int64_t n, float* out) {
    give_way();
    parallel_for(size_t(n), thread_count(o.threads), [&](size_t i) {
      std::vector<uint8_t> image(side.images->bytes());
      side.images->read(first + int64_t(i), image.data());
      model::pixel_features(image.data(), height, width, out + i * kPixelFeatures);
    });
  };
  const auto take = [&](int64_t first, int64_t n, const float* features) {
    for (int64_t i = 0; i < n; ++i)
      (second[size_t(first + i)] ? sums.second : sums.first)
          .add({features + i * kPixelFeatures, 1, kPixelFeatures});
  };
  in_rounds<float>(ranks, {side.used, kAtOnce, kPixelFeatures}, make, take);
  return sums;
}

/// Why there is no distance; empty if there is.
std::string lack(const Side& side) {
  if (!side.images) return cat(side.place(), " has no images");
  if (std::min(side.images->size().height, side.images->size().width) < 8)
    return "images of 8x8 pixels or more are needed";
  return side.used < 2 ? cat(side.place(), " has fewer than two images") : "";
}

}  // namespace

void add_pixel_distance(Evaluation& e, const Side& generated, const Side* reference,
                        const EvaluationOptions& o, kernels::Wire& ranks) {
  Figure distance, floor;
  distance.key = "fd_pixels8", distance.label = "FD-pixels8";
  floor.key = "fd_pixels8_floor", floor.label = "FD-pixels8 floor";
  distance.missing = lack(generated);
  if (!reference) distance.missing = "no --reference";
  if (distance.missing.empty()) distance.missing = lack(*reference);
  floor.missing = distance.missing;
  if (distance.missing.empty()) {
    Halves ours = sums_of(generated, o, ranks), real = sums_of(*reference, o, ranks);
    ours.first.merge(ours.second);
    if (reference->used >= 4) {
      floor.value = frechet_distance(real.first.statistics(), real.second.statistics());
      floor.note = cat("between halves of the reference, ", real.second.count(), " images each");
    } else {
      floor.missing = "the reference has too few images";
    }
    real.first.merge(real.second);
    distance.value = frechet_distance(ours.first.statistics(), real.first.statistics());
    distance.note = "of 8x8 means: colours and composition, no FID";
  }
  e.figures.push_back(distance), e.figures.push_back(floor);
}

}  // namespace ito::apps
