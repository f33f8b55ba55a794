#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/evaluation/sides.h"
#include "kernels/wire.h"

/// What ./evaluate measures, apart from flags and files.
namespace ito::apps {

/// The networks that some metrics need; empty, with the reason, without their weights.
struct MetricNetworks {
  /// u8 [n,h,w,3] -> features [n,Inception::kFeatures] and, unless null, logits [n,Inception::kClasses].
  std::function<void(const uint8_t* images, int64_t n, int h, int w, float* features, float* logits)>
      inception;
  /// Distance of a[i] and b[i], u8 [pairs,h,w,3].
  std::function<void(const uint8_t* a, const uint8_t* b, int64_t pairs, int h, int w, double* distances)>
      lpips;
  std::string inception_missing, lpips_missing;
};

struct EvaluationOptions {
  int64_t pairs = 10000;  // at most, over which Diversity and MS-SSIM-3 are means
  int64_t pairwise =
      10000;  // images of a side whose features are kept, for metrics that compare all with all
  uint64_t seed = 0;
  int threads = 0;
  bool inception_score = false;
};

/// One measured number and how it is shown.
struct Figure {
  std::string key, label;       // in the JSON; in the table
  std::optional<double> value;  // if none: see missing
  std::optional<double> spread, real,
      real_spread;                // standard error or deviation; value and spread of real images
  std::string missing;            // why there is no value
  std::string note;               // how it was measured
  double offset = 0, factor = 1;  // the table shows offset + factor * value

  double shown(double v) const { return offset + factor * v; }
};

/// A generated image and the reference image that is most like it.
struct NearestPair {
  int64_t generated = 0, reference = 0;  // indices in their sides
  double distance = 0;                   // of their features
};

struct Evaluation {
  std::vector<Figure> figures;
  std::optional<model::FeatureStatistics> generated_statistics;
  /// Distances to the nearest reference image, of generated images and of reference images (another one).
  std::vector<double> generated_distances, reference_distances;
  std::vector<NearestPair> closest;  // ascending distance
};

/// Measures what can be measured, and notes why the rest cannot. `reference` may be null. Shows progress. Ranks all
/// call it, with the same; they share what takes long, and rank 0 alone gets all figures. Throws engine::Interrupted,
/// on all of them, if a signal asked one to stop.
Evaluation evaluate(const Side& generated, const Side* reference, const MetricNetworks& networks,
                    const EvaluationOptions& options, kernels::Wire& ranks = kernels::no_wire());

/// n images of a side, evenly spread, or all if there are fewer: u8 [n, height, width, 3].
std::vector<uint8_t> some_images(const Side& side, int64_t n, int threads);

}  // namespace ito::apps
