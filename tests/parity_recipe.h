#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

/// The numbers of the U-Net parity fixtures, drawn bit for bit as tests/reference/parity_recipe.py draws
/// them, so that no fixture stores weights. That file states the recipe; this is its version 1.
namespace ito::tests {

inline constexpr int kParityVersion = 1;
inline constexpr std::uint32_t kInputStream = 1'000'000, kNoiseStream = 1'000'001,
                               kCotangentStream = 1'000'002;

/// The finalizer of MurmurHash3.
inline std::uint32_t hash32(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
  x = (x ^ (x >> 13)) * 0xC2B2AE35u;
  return x ^ (x >> 16);
}

/// offset + scale * u for elements 0..count-1 of a stream, u in [-1, 1); in double, rounded once to float.
inline std::vector<float> parity_stream(std::uint32_t stream, std::size_t count, double scale,
                                        double offset = 0) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double u = hash32(stream * 0x9E3779B1u + std::uint32_t(i)) / 2147483648.0 - 1.0;
    values[i] = float(offset + scale * u);
  }
  return values;
}

inline bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// The values of the parameter at `position` in the fixture's list of names; shape and result as diffusers
/// has them: [out, in, kernel_h, kernel_w] for convolutions, [out, in] for linear layers, row-major.
inline std::vector<float> parity_parameter(std::uint32_t position, std::string_view name,
                                           const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) count *= std::size_t(extent);
  if (name == "time_proj.weight") return parity_stream(position, count, 2.0);
  if (ends_with(name, ".bias")) return parity_stream(position, count, 0.125);
  if (shape.size() == 1) return parity_stream(position, count, 0.125, 1.0);
  const double fan_in = double(count) / double(shape[0]);
  return parity_stream(position, count, std::sqrt(3.0 / fan_in));
}

/// x, row-major [N, C, H, W].
inline std::vector<float> parity_input(std::size_t count) { return parity_stream(kInputStream, count, 2.0); }

/// c_noise [N].
inline std::vector<float> parity_noise_level(std::size_t n) {
  return parity_stream(kNoiseStream, n, 1.5, -0.5);
}

/// dL/dF, row-major [N, C, H, W].
inline std::vector<float> parity_cotangent(std::size_t count) {
  return parity_stream(kCotangentStream, count, 1.0);
}

}  // namespace ito::tests
