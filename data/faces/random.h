#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "kernels/base/philox.h"

namespace ito::data {

/// Numbers for one face, one after the other: element 0, 1, 2 ... of the Philox stream (seed, faces, index).
class FaceRandom {
 public:
  FaceRandom(uint64_t seed, uint64_t index)
      : key_{seed, Purpose::faces, uint32_t(index), uint32_t(index >> 32)} {}

  uint64_t bits() {
    const Philox4 block = random_block(key_, next_++);
    return (uint64_t(block.v[0]) << 32) | block.v[1];
  }
  double uniform(double low, double high) {
    const uint64_t b = bits();
    return low + (high - low) * uniform_double(uint32_t(b >> 32), uint32_t(b));
  }
  bool chance(double probability) { return uniform(0, 1) < probability; }

  /// Sum of four uniforms, scaled to the standard deviation and cut to mean +- limit: bits that no libm
  /// decides.
  double normal(double mean, double deviation, double limit) {
    double sum = 0;
    for (int i = 0; i < 4; ++i) sum += uniform(-0.5, 0.5);
    return mean + std::clamp(sum * std::sqrt(3.0) * deviation, -limit, limit);
  }

  /// Index drawn in proportion to the weights (any positive sum).
  int choose(std::initializer_list<double> weights) {
    double total = 0;
    for (double w : weights) total += w;
    double left = uniform(0, total);
    int i = 0;
    for (double w : weights) {
      if (left < w) return i;
      left -= w, ++i;
    }
    return int(weights.size()) - 1;
  }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[bits() % values.size()];
  }

 private:
  RandomKey key_;
  uint32_t next_ = 0;
};

}  // namespace ito::data
