#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ito::data {

/// Statistics of one channel of pixels in [-1,1], that is p / 127.5 - 1.
struct ChannelStatistics {
  double mean = 0;
  double deviation = 0;  // of the whole population
};

/// Red, green and blue over all pixels u8 [count, 3], exactly: from how often each value occurs.
std::array<ChannelStatistics, 3> channel_statistics(const uint8_t* pixels, size_t count, int threads);

/// For values [count, columns] of -1, 0 or 1: for each column the share of rows that have 1.
std::vector<double> attribute_shares(const std::vector<int8_t>& values, size_t columns);

/// The Euclidean distance between the two images that are farthest apart, pixels in [-1,1].
struct FarthestPair {
  double distance = 0;
  std::pair<size_t, size_t> images;  // their indices in the whole set
  size_t compared = 0;               // images, each with every other
};

/// Compares at most `most` images of u8 [count, image_bytes], evenly spaced from the first to the last. Song and Ermon
/// (2020, technique 1) set the largest noise to the largest distance in the data; that of a subset is a little less.
FarthestPair farthest_pair(const uint8_t* pixels, size_t count, size_t image_bytes, size_t most, int threads);

}  // namespace ito::data
