#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/pictures/image.h"
#include "model/diffusion/sampler.h"
#include "model/metrics/frechet.h"
#include "model/training/checkpoint.h"

namespace ito::bench {

/// What a plan's images are worth, and what they cost.
struct Measured {
  double evaluations = 0;  // an image
  double distance = 0;
  std::optional<double> rms = {};  // to the exact flow
};

/// FD-pixels8 of a model's images by any plan, at equal seeds.
class ModelDistance {
 public:
  struct Options {
    std::string run, reference, cache;
    int count = 1000;  // images a plan
    int shown = 2;     // of them, in strip()
    int exact = 0;     // of them, that are compared with the exact flow
  };
  ModelDistance(engine::Device& device, const Options&);

  const model::LoadedModel& loaded() const { return loaded_; }
  /// FD-pixels8 of as many real images (at most half of them) to the other real ones: the distance falls with their
  /// number.
  double floor() const { return floor_; }
  /// rms: the root of the mean square of the differences, in pixels' range of -1 .. 1, to what rk45 with a tolerance of
  /// 1e-6 draws from the same noise with the same clip; only of plans without noise.
  Measured of(const model::SamplerPlan& plan, bool with_rms);
  /// The first images of each plan so far, in a row.
  data::Image strip() const;

 private:
  std::vector<float> draw(const model::SamplerPlan& plan, int count, double* evaluations);
  double rms_to_exact(const model::SamplerPlan& plan, const std::vector<float>& numbers);
  model::FeatureStatistics statistics_of(const uint8_t* pixels, size_t count) const;

  engine::Device& device_;
  Options options_;
  model::LoadedModel loaded_;
  int height_, width_;
  model::FeatureStatistics real_;
  double floor_ = 0;
  std::vector<uint8_t> first_;
  std::map<std::string, std::vector<float>> exact_;  // by clip
};

}  // namespace ito::bench
