#include <doctest/doctest.h>

#include <cmath>

#include "data/statistics.h"
#include "data_helpers.h"

using namespace ito::data;
using namespace ito::tests;

namespace {

std::vector<uint8_t> images(size_t count, int side) {
  std::vector<uint8_t> pixels;
  for (size_t i = 0; i < count; ++i) {
    const Image image = picture(side, side, uint32_t(i));
    pixels.insert(pixels.end(), image.rgb.begin(), image.rgb.end());
  }
  return pixels;
}

double distance(const uint8_t* a, const uint8_t* b, size_t bytes) {
  double sum = 0;
  for (size_t i = 0; i < bytes; ++i) {
    const double d = (double(a[i]) - double(b[i])) / 127.5;
    sum += d * d;
  }
  return std::sqrt(sum);
}

}  // namespace

TEST_CASE("channels: mean and deviation in [-1,1], on any number of threads") {
  const std::vector<uint8_t> few = {0, 255, 51, 255, 255, 51, 0, 255, 204, 255, 255, 204};
  const auto c = channel_statistics(few.data(), 4, 1);
  CHECK(c[0].mean == doctest::Approx(0));
  CHECK(c[0].deviation == doctest::Approx(1));
  CHECK(c[1].mean == doctest::Approx(1));
  CHECK(c[1].deviation == doctest::Approx(0));
  CHECK(c[2].mean == doctest::Approx(0));
  CHECK(c[2].deviation == doctest::Approx(0.6));
  const std::vector<uint8_t> many = images(30, 200);  // more than one part
  const auto one = channel_statistics(many.data(), many.size() / 3, 1);
  const auto four = channel_statistics(many.data(), many.size() / 3, 4);
  double sum = 0;
  for (size_t i = 1; i < many.size(); i += 3) sum += many[i] / 127.5 - 1;
  CHECK(one[1].mean == doctest::Approx(sum / (double(many.size()) / 3)).epsilon(1e-12));
  for (size_t i = 0; i < 3; ++i) {
    CHECK(one[i].mean == four[i].mean);
    CHECK(one[i].deviation == four[i].deviation);
  }
}

TEST_CASE("attributes: the share that has each") {
  CHECK(attribute_shares({1, -1, 1, 1, 0, -1, 1, -1}, 2) == std::vector<double>{0.75, 0.25});
  CHECK(attribute_shares({}, 2) == std::vector<double>{0, 0});
}

TEST_CASE("the farthest pair is that of plain loops, on any number of threads") {
  constexpr size_t kCount = 60, kBytes = 80 * 80 * 3;  // several tiles
  const std::vector<uint8_t> pixels = images(kCount, 80);
  double largest = 0;
  std::pair<size_t, size_t> who;
  for (size_t i = 0; i < kCount; ++i)
    for (size_t j = i + 1; j < kCount; ++j) {
      const double d = distance(&pixels[i * kBytes], &pixels[j * kBytes], kBytes);
      if (d > largest) largest = d, who = {i, j};
    }
  for (const int threads : {1, 5}) {
    const FarthestPair pair = farthest_pair(pixels.data(), kCount, kBytes, 1000, threads);
    CHECK(pair.distance == doctest::Approx(largest).epsilon(1e-9));
    CHECK(pair.images == who);
    CHECK(pair.compared == kCount);
  }
}

TEST_CASE("the farthest pair of a subset, of black and white, and of hardly any images") {
  std::vector<uint8_t> pixels(7 * 256 * 256 * 3, 0);  // long enough that 32 bits would not hold the sum
  std::fill(pixels.begin() + 3 * 256 * 256 * 3, pixels.begin() + 4 * 256 * 256 * 3, uint8_t(255));
  const FarthestPair all = farthest_pair(pixels.data(), 7, 256 * 256 * 3, 7, 2);
  CHECK(all.distance == doctest::Approx(2 * std::sqrt(256 * 256 * 3.0)));
  CHECK(all.images == std::pair<size_t, size_t>{0, 3});
  CHECK(farthest_pair(pixels.data(), 7, 256 * 256 * 3, 3, 2).images ==
        std::pair<size_t, size_t>{0, 3});                                     // 0, 3, 6
  CHECK(farthest_pair(pixels.data(), 7, 256 * 256 * 3, 2, 2).distance == 0);  // 0, 6
  CHECK(farthest_pair(pixels.data(), 1, 256 * 256 * 3, 9, 2).distance == 0);
  CHECK(farthest_pair(pixels.data(), 0, 256 * 256 * 3, 9, 2).compared == 0);
}
