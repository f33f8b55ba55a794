#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/bf16.h"
#include "kernels/base/error.h"
#include "kernels/conv2d.h"

/// What the tests of convolutions and linear layers share, on the CPU and on CUDA.
namespace ito::tests {

/// Values in [-1, 1] that bf16 holds exactly, so that all types see the same operands.
inline std::vector<float> random_values(size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(count);
  for (float& v : values) v = float(bf16(uniform(generator)));
  return values;
}

/// The dims with as much padding as keeps the image's size under an odd filter with stride 1.
inline kernels::Conv2dDims padded(kernels::Conv2dDims d) {
  d.pad_top = d.pad_bottom = d.r / 2, d.pad_left = d.pad_right = d.s / 2;
  return d;
}

inline std::string name_of(const kernels::Conv2dDims& d) {
  return cat("[", d.n, ",", d.h, ",", d.w, ",", d.c1, "+", d.c2, "] k ", d.k, " ", d.r, "x", d.s, "/",
             d.stride, " pad ", d.pad_top, d.pad_left, d.pad_bottom, d.pad_right);
}

/// Exactly the promised bytes, full of NaN, with a guard behind them.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : bytes_(bytes), all_(bytes + 192, std::byte{0xff}) {}
  kernels::Out out() { return {bytes_ ? start() : nullptr, kernels::DType::f32}; }
  bool guard_intact() {
    for (int i = 0; i < 64; ++i) {
      if (start()[bytes_ + size_t(i)] != std::byte{0xff}) return false;
    }
    return true;
  }

 private:
  std::byte* start() {
    const auto at = reinterpret_cast<uintptr_t>(all_.data());
    return all_.data() + (64 - at % 64) % 64;
  }
  size_t bytes_;
  std::vector<std::byte> all_;
};

}  // namespace ito::tests
