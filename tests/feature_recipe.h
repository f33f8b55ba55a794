#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/parity_recipe.h"

/// The weights and images of the metrics' golden values, drawn bit for bit as
/// tests/reference/feature_recipe.py, which states the recipe, draws them.
namespace ito::tests {

inline std::uint32_t fnv1a(const std::string& text) {
  std::uint32_t h = 2166136261u;
  for (const char c : text) h = (h ^ std::uint8_t(c)) * 16777619u;
  return h;
}

/// The numbers of tensor `name`; a model::WeightSource.
inline std::vector<float> feature_weight(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= std::size_t(extent);
  const std::uint32_t stream = fnv1a(name);
  if (ends_with(name, ".running_var")) return parity_stream(stream, count, 0.25, 1);
  if (ends_with(name, ".running_mean") || ends_with(name, ".bias"))
    return parity_stream(stream, count, 0.125);
  if (ends_with(name, ".bn.weight")) return parity_stream(stream, count, 0.125, 1);
  if (name.rfind("lin", 0) == 0) return parity_stream(stream, count, 1, 1);
  return parity_stream(stream, count, std::sqrt(6.0 / (double(count) / double(shape[0]))));
}

/// u8 [n,h,w,3].
inline std::vector<std::uint8_t> feature_images(int n, int h, int w) {
  std::vector<std::uint8_t> bytes(std::size_t(n) * h * w * 3);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::size_t y = i / 3 / w % h, x = i / 3 % w;
    const std::uint32_t noise = (hash32(7 * 0x9E3779B1u + std::uint32_t(i)) >> 24) % 96;
    bytes[i] = std::uint8_t(noise + 100 * y / h + 59 * x / w);
  }
  return bytes;
}

}  // namespace ito::tests
