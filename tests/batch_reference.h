#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/batch_sample.h"

/// A batch's images and noises in f64, each number straight from its definition.
namespace ito::test {

struct BatchReference {
  kernels::MakeBatchDims d;
  std::vector<uint8_t> pixels;
  std::vector<kernels::SampleRecipe> recipes;
  std::vector<kernels::ImageMap> maps = {};  // one a sample, or none

  int size() const { return d.h * d.w * d.c; }
  kernels::BatchImages images() const {
    return {pixels.data(), recipes.data(), maps.empty() ? nullptr : maps.data()};
  }
  /// x0 at a whole position of the mirrored image, wherever: beyond its ends a line is reflected.
  double at(int n, int row, int column, int channel) const {
    row = folded(row, d.h), column = folded(column, d.w);
    if (recipes[size_t(n)].flip) column = d.w - 1 - column;
    const size_t image = size_t(recipes[size_t(n)].image) * size_t(size());
    return pixels[image + size_t((row * d.w + column) * d.c + channel)] / 127.5 - 1;
  }
  /// Between four of them.
  double at(int n, double row, double column, int channel) const {
    const double y = std::floor(row), x = std::floor(column), down = row - y, right = column - x;
    const int p = int(y), q = int(x);
    return (1 - down) * ((1 - right) * at(n, p, q, channel) + right * at(n, p, q + 1, channel)) +
           down * ((1 - right) * at(n, p + 1, q, channel) + right * at(n, p + 1, q + 1, channel));
  }
  /// Element e of sample n's x0.
  double x0(int n, int e) const {
    const int channel = e % d.c, column = e / d.c % d.w, row = e / d.c / d.w;
    if (maps.empty()) return at(n, row, column, channel);
    const kernels::ImageMap& m = maps[size_t(n)];
    return at(n, double(m.yx) * column + double(m.yy) * row + double(m.y0),
              double(m.xx) * column + double(m.xy) * row + double(m.x0), channel);
  }
  static double normal(const RandomKey& key, int e) {
    float z[4];
    normal_block(key, uint32_t(e / 4), z);
    return double(z[e % 4]);
  }
  /// Element e of the sample's noise candidate.
  double z(int n, int e, uint32_t candidate) const {
    const uint32_t sample = recipes[size_t(n)].noise_sample;
    if (candidate == 0) return normal({d.seed, d.purpose, *d.step, sample}, e);
    return normal({d.seed, Purpose::noise_candidate, *d.step, 16 * sample + candidate}, e);
  }
  double input_noise(int n, int e) const {
    return normal({d.seed, Purpose::input_noise, *d.step, recipes[size_t(n)].noise_sample}, e);
  }
  uint32_t nearest(int n, int candidates) const {
    std::vector<double> distance(size_t(candidates), 0.0);
    for (int e = 0; e < size(); ++e)
      for (uint32_t k = 0; k < uint32_t(candidates); ++k) distance[k] += std::pow(x0(n, e) - z(n, e, k), 2);
    return uint32_t(std::min_element(distance.begin(), distance.end()) - distance.begin());
  }

 private:
  static int folded(int i, int count) {
    if (count == 1) return 0;
    const int period = 2 * (count - 1);
    i = (i % period + period) % period;
    return i < count ? i : period - i;
  }
};

/// `count` pixels of any level.
inline std::vector<uint8_t> random_pixels(size_t count) {
  std::vector<uint8_t> pixels(count);
  for (size_t i = 0; i < count; ++i)
    pixels[i] = uint8_t(random_block({1, Purpose::test, 0, 0}, uint32_t(i)).v[0]);
  return pixels;
}

/// Maps of every kind: the identity, a half turn, a shift beyond an edge, and any.
inline std::vector<kernels::ImageMap> some_maps(int count, int h, int w) {
  std::vector<kernels::ImageMap> maps(static_cast<size_t>(count));
  for (int n = 0; n < count; ++n) {
    kernels::ImageMap& m = maps[size_t(n)];
    const auto normal = [n](uint32_t i) {
      return float(random_normal({2, Purpose::test, 0, uint32_t(n)}, i));
    };
    if (n % 4 == 1) m = {-1, 0, float(w - 1), 0, -1, float(h - 1)};
    if (n % 4 == 2) m.x0 = float(w), m.y0 = -0.25f;
    if (n % 4 == 3)
      m = {normal(0), normal(1), float(w) * normal(2), normal(3), normal(4), float(h) * normal(5)};
  }
  return maps;
}

}  // namespace ito::test
