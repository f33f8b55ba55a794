#include "data/pictures/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/error.h"

namespace ito::data {
namespace {

constexpr int kFractionBits = 22;  // 255 * 2^22 + 2^21 is the largest sum, and fits in 31 bits
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

/// The inputs of each output along one axis: `count` of them from `first`, with fixed-point weights whose sum is
/// about 1.
struct Weights {
  struct Span {
    int first, count;
  };
  std::vector<Span> spans;
  std::vector<int32_t> values;  // [outputs, taps]
  int taps = 0;
};

Weights triangle_weights(int inputs, int outputs) {
  const double scale = double(inputs) / outputs;
  const double support = std::max(scale, 1.0);
  Weights weights;
  weights.taps = 2 * int(std::ceil(support)) + 1;
  weights.spans.resize(size_t(outputs));
  weights.values.assign(size_t(outputs) * size_t(weights.taps), 0);
  std::vector<double> exact(size_t(weights.taps));
  for (int i = 0; i < outputs; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, int(centre - support + 0.5));
    const int count = std::min(inputs, int(centre + support + 0.5)) - first;
    double sum = 0;
    for (int k = 0; k < count; ++k) {
      exact[size_t(k)] = std::max(0.0, 1.0 - std::abs((first + k + 0.5 - centre) / support));
      sum += exact[size_t(k)];
    }
    weights.spans[size_t(i)] = {first, count};
    int32_t* values = &weights.values[size_t(i) * size_t(weights.taps)];
    for (int k = 0; k < count; ++k) values[k] = int32_t(0.5 + exact[size_t(k)] / sum * (1 << kFractionBits));
  }
  return weights;
}

/// Along the first axis: source [inputs, bytes] -> out [outputs, bytes].
void resize_axis(const Weights& weights, const uint8_t* source, size_t bytes, uint8_t* out) {
  std::vector<int32_t> sums(bytes);
  for (size_t i = 0; i < weights.spans.size(); ++i, out += bytes) {
    const auto [first, count] = weights.spans[i];
    const int32_t* values = &weights.values[i * size_t(weights.taps)];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int k = 0; k < count; ++k) {
      const uint8_t* row = source + size_t(first + k) * bytes;
      const int32_t value = values[k];
      for (size_t b = 0; b < bytes; ++b) sums[b] += value * row[b];
    }
    // No sum is negative; rounding of the weights can carry one past 255.
    for (size_t b = 0; b < bytes; ++b) out[b] = uint8_t(std::min(sums[b] >> kFractionBits, 255));
  }
}

/// Transposes pixels [rows, columns, 3], `stride` bytes from row to row, to out [columns, rows, 3]. Four bytes move at
/// once: the fourth lands on the pixel that is written next.
void transpose(const uint8_t* pixels, size_t stride, int rows, int columns, uint8_t* out) {
  for (int x = 0; x < columns; ++x) {
    const uint8_t* pixel = pixels + size_t(x) * 3;
    for (int y = 0; y + 1 < rows; ++y, pixel += stride, out += 3) std::memcpy(out, pixel, 4);
    std::memcpy(out, pixel, 3);
    out += 3;
  }
}

/// Scales every row of `part` to out [part.height, width, 3]. Some rows at a time are transposed, so that the sums run
/// over neighbouring bytes, as vector instructions need them.
void resize_rows(const Image& image, const Rectangle& part, int width, uint8_t* out) {
  constexpr int kStrip = 32;
  const Weights weights = triangle_weights(part.width, width);
  std::vector<uint8_t> wide(size_t(part.width) * kStrip * 3), narrow(size_t(width) * kStrip * 3);
  for (int y = 0; y < part.height; y += kStrip) {
    const int rows = std::min(kStrip, part.height - y);
    const size_t bytes = size_t(rows) * 3;
    transpose(image.pixel(part.left, part.top + y), size_t(image.width) * 3, rows, part.width, wide.data());
    resize_axis(weights, wide.data(), bytes, narrow.data());
    transpose(narrow.data(), bytes, width, rows, out + size_t(y) * size_t(width) * 3);
  }
}

}  // namespace

void resize_into(const Image& image, const Rectangle& part, ImageSize size, uint8_t* out) {
  if (part.left < 0 || part.top < 0 || part.width < 1 || part.height < 1 ||
      part.width > image.width - part.left || part.height > image.height - part.top || size.width < 1 ||
      size.height < 1) {
    fail(cat("cannot resize the ", part.width, "x", part.height, " pixels at ", part.left, ",", part.top,
             " of a ", image.width, "x", image.height, " picture to ", size.width, "x", size.height));
  }
  const size_t row_bytes = size_t(size.width) * 3;
  std::vector<uint8_t> narrow(size_t(part.height) * row_bytes);
  resize_rows(image, part, size.width, narrow.data());
  resize_axis(triangle_weights(part.height, size.height), narrow.data(), row_bytes, out);
}

Image resize(const Image& image, const Rectangle& part, ImageSize size) {
  if (size.width < 1 || size.height < 1)
    fail(cat("cannot resize to ", size.width, "x", size.height, " pixels"));
  Image out(size.width, size.height);
  resize_into(image, part, size, out.rgb.data());
  return out;
}

}  // namespace ito::data
