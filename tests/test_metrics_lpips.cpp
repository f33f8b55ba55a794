#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/safetensors.h"
#include "model/metrics/lpips.h"
#include "tests/feature_recipe.h"

/// LPIPS against the published package (tests/reference/lpips_features.py).
namespace ito::model {
namespace {

using tests::feature_images;
using tests::feature_weight;

const io::SafetensorsReader& golden() {
  static const io::SafetensorsReader reader(ITO_SOURCE_DIR "/tests/fixtures/metrics_lpips.safetensors");
  return reader;
}

TEST_CASE("the layers are AlexNet's") {
  Device device;
  const Lpips lpips(device, feature_weight, feature_weight);
  const std::vector<uint8_t> images = feature_images(6, 64, 64);
  int number = 0;
  for (const Tensor& y : lpips.layers(lpips.input(images.data(), 2, 64, 64))) {
    const std::vector<double> values = y.to_doubles();
    const std::vector<float> want = golden().values<float>(cat("relu", ++number));
    CAPTURE(number);
    const int64_t h = y.shape()[1], w = y.shape()[2], c = y.shape()[3], step = y.count() / 64;
    double worst = 0, squares = 0;
    for (int64_t k = 0; k < 64; ++k) {
      const int64_t i = k * step, column = i % w, row = i / w % h, channel = i / (w * h) % c,
                    n = i / (w * h * c);
      const double difference =
          std::abs(values[size_t(((n * h + row) * w + column) * c + channel)] - want[size_t(k)]);
      worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY);
      squares += double(want[size_t(k)]) * want[size_t(k)];
    }
    CHECK(worst < 1e-4 * std::sqrt(squares / 64));
  }
  CHECK(number == 5);
}

TEST_CASE("distances are those of the lpips package, whatever the batch") {
  Device device;
  for (const auto& [h, w] : {std::pair{64, 64}, {31, 77}}) {
    CAPTURE(h);
    const std::vector<uint8_t> images = feature_images(6, h, w);
    const std::vector<double> want = golden().values<double>(cat("distances.", h, "x", w));
    const uint8_t* const other = images.data() + 3 * h * w * 3;
    std::vector<double> d(3, NAN), in_batches(3, NAN), reverse(3, NAN);
    const Lpips lpips(device, feature_weight, feature_weight);
    lpips.distances(images.data(), other, 3, h, w, d.data());
    for (size_t i = 0; i < 3; ++i) CHECK(d[i] == doctest::Approx(want[i]).epsilon(1e-4));
    Lpips(device, feature_weight, feature_weight, 2)
        .distances(images.data(), other, 3, h, w, in_batches.data());
    CHECK(in_batches == d);
    lpips.distances(other, images.data(), 3, h, w, reverse.data());
    CHECK(reverse == d);
  }
  CHECK(device.arena().live_bytes() == 0);
}

TEST_CASE("an image has no distance from itself; images that are too small are refused") {
  Device device;
  const Lpips lpips(device, feature_weight, feature_weight);
  const std::vector<uint8_t> image = feature_images(1, 40, 40);
  double d = NAN;
  lpips.distances(image.data(), image.data(), 1, 40, 40, &d);
  CHECK(d == 0);
  CHECK_THROWS_WITH_AS(lpips.distances(image.data(), image.data(), 1, 30, 40, &d),
                       doctest::Contains("31 pixels at least, these have 40x30"), Error);
}

}  // namespace
}  // namespace ito::model
