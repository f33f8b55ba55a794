#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace ito::tests {

/// Soft blobs of colour, u8 [count,size,size,3]: something to learn, made in an instant.
inline std::vector<uint8_t> blobs(int count, int size) {
  std::vector<uint8_t> pixels;
  for (int i = 0; i < count; ++i)
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x)
        for (int c = 0; c < 3; ++c) {
          const double cx = size * (0.3 + 0.4 * std::sin(i * 1.7)),
                       cy = size * (0.5 + 0.3 * std::cos(i * 2.3));
          const double r2 = (x - cx) * (x - cx) + (y - cy) * (y - cy);
          pixels.push_back(uint8_t(40 + 40 * c + 130 * std::exp(-r2 / size)));
        }
  return pixels;
}

}  // namespace ito::tests
