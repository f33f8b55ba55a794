#include "data/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>

#include "kernels/base/math.h"
#include "kernels/base/parallel.h"

namespace ito::data {
namespace {

using Histogram = std::array<std::array<uint64_t, 256>, 3>;

/// The sum of squared differences. Within a block it fits 32 bits: 2^15 * 255^2 < 2^31.
uint64_t squared_distance(const uint8_t* a, const uint8_t* b, size_t bytes) {
  constexpr size_t kBlock = size_t(1) << 15;
  uint64_t sum = 0;
  for (size_t first = 0; first < bytes; first += kBlock) {
    int32_t block = 0;
    for (size_t i = first; i < std::min(bytes, first + kBlock); ++i) {
      const int16_t difference = int16_t(int16_t(a[i]) - int16_t(b[i]));
      block += int32_t(difference) * difference;
    }
    sum += uint64_t(block);
  }
  return sum;
}

}  // namespace

std::array<ChannelStatistics, 3> channel_statistics(const uint8_t* pixels, size_t count, int threads) {
  constexpr size_t kPixelsATime = 1 << 20;
  Histogram all{};
  std::mutex mutex;
  parallel_for(div_up(count, kPixelsATime), threads, [&](size_t part) {
    Histogram mine{};
    for (size_t i = part * kPixelsATime; i < std::min(count, (part + 1) * kPixelsATime); ++i)
      for (size_t c = 0; c < 3; ++c) ++mine[c][pixels[i * 3 + c]];
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t c = 0; c < 3; ++c)
      for (size_t value = 0; value < 256; ++value) all[c][value] += mine[c][value];
  });
  std::array<ChannelStatistics, 3> result;
  for (size_t c = 0; c < 3 && count > 0; ++c) {
    double sum = 0, squares = 0;
    for (size_t value = 0; value < 256; ++value) sum += (double(value) / 127.5 - 1) * double(all[c][value]);
    result[c].mean = sum / double(count);
    for (size_t value = 0; value < 256; ++value) {
      const double from_mean = double(value) / 127.5 - 1 - result[c].mean;
      squares += from_mean * from_mean * double(all[c][value]);
    }
    result[c].deviation = std::sqrt(squares / double(count));
  }
  return result;
}

std::vector<double> attribute_shares(const std::vector<int8_t>& values, size_t columns) {
  std::vector<double> shares(columns, 0);
  for (size_t i = 0; i < values.size(); ++i) shares[i % columns] += values[i] > 0;
  for (double& share : shares) share /= std::max<double>(1, double(values.size() / columns));
  return shares;
}

FarthestPair farthest_pair(const uint8_t* pixels, size_t count, size_t image_bytes, size_t most,
                           int threads) {
  FarthestPair result;
  result.compared = std::min(count, most);
  const auto place = [&](size_t i) {
    return result.compared > 1 ? i * (count - 1) / (result.compared - 1) : size_t(0);
  };
  // Tiles of images that stay in a core's cache while every two are compared.
  const size_t tile = std::max<size_t>(1, (size_t(128) << 10) / std::max<size_t>(1, image_bytes));
  const size_t tiles = div_up(result.compared, tile);
  uint64_t largest = 0;
  std::mutex mutex;
  parallel_for(tiles * tiles, threads, [&](size_t part) {
    const size_t rows = part / tiles, columns = part % tiles;
    uint64_t mine = 0;
    std::pair<size_t, size_t> pair;
    for (size_t i = rows * tile; i < std::min(result.compared, (rows + 1) * tile); ++i) {
      for (size_t j = std::max(i + 1, columns * tile); j < std::min(result.compared, (columns + 1) * tile);
           ++j) {
        const uint64_t distance =
            squared_distance(pixels + place(i) * image_bytes, pixels + place(j) * image_bytes, image_bytes);
        if (distance > mine) mine = distance, pair = {place(i), place(j)};
      }
    }
    const std::lock_guard<std::mutex> lock(mutex);
    // Of equal distances the first pair wins, whichever thread finds it.
    if (mine > largest || (mine == largest && mine > 0 && pair < result.images))
      largest = mine, result.images = pair;
  });
  result.distance = std::sqrt(double(largest)) / 127.5;
  return result;
}

}  // namespace ito::data
