#include "model/metrics/pixel_features.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/error.h"

namespace ito::model {
namespace {

constexpr int kBoxes = 8;

/// f(box, share) for each box that a pixel of `size` lies in, share being the part of it that does; the shares of a box
/// sum to size / 8.
template <class F>
void for_boxes(int pixel, int size, F&& f) {
  const double begin = double(pixel) * kBoxes / size, end = double(pixel + 1) * kBoxes / size;
  for (int box = int(begin); box < kBoxes && box < end; ++box) {
    const double share = std::min(end, box + 1.0) - std::max(begin, double(box));
    if (share > 0) f(box, share * size / kBoxes);
  }
}

}  // namespace

void pixel_features(const uint8_t* image, int height, int width, float* features) {
  if (height < kBoxes || width < kBoxes)
    fail(cat("8x8 means need an image of 8x8 pixels or more, not ", height, "x", width));
  double sums[kPixelFeatures] = {};
  for (int y = 0; y < height; ++y) {
    double row[kBoxes * 3] = {};
    for (int x = 0; x < width; ++x, image += 3)
      for_boxes(x, width, [&](int box, double share) {
        for (int c = 0; c < 3; ++c) row[box * 3 + c] += share * image[c];
      });
    for_boxes(y, height, [&](int box, double share) {
      for (int i = 0; i < kBoxes * 3; ++i) sums[box * kBoxes * 3 + i] += share * row[i];
    });
  }
  const double pixels = double(height) * width / (kBoxes * kBoxes);
  for (int i = 0; i < kPixelFeatures; ++i) features[i] = float(sums[i] / pixels / 127.5 - 1);
}

}  // namespace ito::model
