#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include "data/pictures/image.h"
#include "engine/io/npz.h"
#include "metric_recipe.h"
#include "model/metrics/frechet.h"
#include "tests/helpers.h"

/// Pictures and statistics that tests of evaluation measure.
namespace ito::tests {

/// Picture i of a set, as the metrics' tests draw them.
inline data::Image picture(int i, int height, int width) {
  data::Image image(width, height);
  image.rgb = recipe_picture(std::uint32_t(100 + i), height, width, 20 + 5 * (i % 7));
  return image;
}

inline void write_pictures(const std::filesystem::path& folder, int first, int count, int height = 64,
                           int width = 64) {
  std::filesystem::create_directories(folder);
  for (int i = first; i < first + count; ++i)
    data::write_png(folder / (std::to_string(1000 + i) + ".png"), picture(i, height, width));
}

inline void write_statistics(const std::filesystem::path& file, const model::FeatureStatistics& s,
                             bool deflated) {
  const int64_t d = s.dimensions();
  io::NpzWriter writer(file, deflated ? io::NpzWriter::Packing::deflated : io::NpzWriter::Packing::stored);
  writer.add("mu", io::ElementType::f64, {d}, s.mean.data());
  writer.add("sigma", io::ElementType::f64, {d, d}, s.covariance.data());
  writer.commit();
}

inline model::FeatureStatistics statistics_of(const RecipeFeatures& x) {
  model::FeatureSums sums(x.columns);
  sums.add(x.view());
  return sums.statistics();
}

}  // namespace ito::tests
