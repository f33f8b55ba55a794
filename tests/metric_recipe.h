#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "model/metrics/features.h"
#include "tests/parity_recipe.h"

/// The features and pictures of the metrics' tests, bit for bit as tests/reference/metric_values.py makes
/// them; that file states the recipe. This is its version 1.
namespace ito::tests {

/// Features that own their numbers.
struct RecipeFeatures {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;

  model::FeatureRows view() const { return {values.data(), rows, columns}; }
};

inline double unit_at(std::uint32_t stream, std::uint32_t i) {
  return hash32(stream * 0x9E3779B1u + i) / 2147483648.0 - 1.0;
}

inline RecipeFeatures recipe_features(std::uint32_t stream, int64_t rows, int64_t columns, double offset = 0,
                                      double scale = 1) {
  RecipeFeatures x{rows, columns, std::vector<float>(size_t(rows * columns))};
  for (int64_t n = 0; n < rows; ++n) {
    for (int64_t d = 0; d < columns; ++d) {
      const double u = unit_at(stream, std::uint32_t(n * columns + d));
      const double next = unit_at(stream, std::uint32_t(n * columns + (d + 1) % columns));
      x.values[size_t(n * columns + d)] = float(offset + scale * (u + next / 2));
    }
  }
  return x;
}

/// u8 [height, width, 3].
inline std::vector<uint8_t> recipe_picture(std::uint32_t stream, int height, int width, int noise) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int base = 16 * c + 2 * x + y + 40 * ((x / 8 + y / 8) % 2);
        const double u = unit_at(stream, std::uint32_t((y * width + x) * 3 + c));
        pixels.push_back(uint8_t(std::clamp(base + int(std::floor(noise * u)), 0, 255)));
      }
    }
  }
  return pixels;
}

}  // namespace ito::tests
