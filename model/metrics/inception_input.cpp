#include "model/metrics/inception_input.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ito::model {

namespace {

constexpr int kChannels = 3;

/// An output pixel is a weighted sum of neighbouring input pixels.
struct Taps {
  int first;
  std::vector<double> weights;
};

/// Interpolates between the two pixels next to `position`, an index of pixels; at the end, the last one.
Taps linear_taps(double position, int in) {
  const int first = std::min(int(position), in - 1);
  if (first == in - 1) return {first, {1}};
  return {first, {1 - (position - first), position - first}};
}

/// Keys' cubic convolution with a = -1/2.
double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/// The cubic around the output pixel's centre, as wide as a pixel of the coarser image, cut at the edges and
/// normalised.
Taps cubic_taps(double center, double scale, int in) {
  const double stretch = std::max(scale, 1.0), support = 2 * stretch;
  const int first = std::max(0, int(center - support + 0.5)), end = std::min(in, int(center + support + 0.5));
  Taps taps{first, {}};
  double sum = 0;
  for (int i = first; i < end; ++i) {
    taps.weights.push_back(cubic((i - center + 0.5) / stretch));
    sum += taps.weights.back();
  }
  for (double& weight : taps.weights) weight /= sum;
  return taps;
}

std::vector<Taps> axis(ResizeMode mode, int in) {
  const double scale = double(in) / kInceptionSize;
  std::vector<Taps> taps;
  for (int i = 0; i < kInceptionSize; ++i) {
    if (mode == ResizeMode::clean)
      taps.push_back(cubic_taps((i + 0.5) * scale, scale, in));
    else
      taps.push_back(
          linear_taps(mode == ResizeMode::tf1 ? i * scale : std::max(0.0, (i + 0.5) * scale - 0.5), in));
  }
  return taps;
}

}  // namespace

void inception_input(ResizeMode mode, const uint8_t* image, int h, int w, float* out) {
  const std::vector<Taps> columns = axis(mode, w), rows = axis(mode, h);
  constexpr int kRow = kInceptionSize * kChannels;
  std::vector<float> wide(size_t(h) * kRow);  // rows first, as PIL does
  for (int y = 0; y < h; ++y) {
    for (int i = 0; i < kRow; ++i) {
      const Taps& taps = columns[size_t(i / kChannels)];
      const uint8_t* from = image + (size_t(y) * w + taps.first) * kChannels + i % kChannels;
      double sum = 0;
      for (const double weight : taps.weights) sum += weight * *from, from += kChannels;
      wide[size_t(y) * kRow + i] = float(sum);
    }
  }
  const double half = mode == ResizeMode::pytorch_fid ? 127.5 : 128;
  std::vector<double> sums(kRow);
  for (int y = 0; y < kInceptionSize; ++y) {
    std::fill(sums.begin(), sums.end(), 0.0);
    const float* from = wide.data() + size_t(rows[size_t(y)].first) * kRow;
    for (const double weight : rows[size_t(y)].weights) {
      for (int i = 0; i < kRow; ++i) sums[size_t(i)] += weight * from[i];
      from += kRow;
    }
    for (int i = 0; i < kRow; ++i)  // a cubic overshoots
      out[size_t(y) * kRow + i] = float((std::clamp(sums[size_t(i)], 0.0, 255.0) - half) / half);
  }
}

}  // namespace ito::model
