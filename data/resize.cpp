#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/error.h"

namespace ito::data {
namespace {

constexpr int kFractionBits = 22;  // 255 * 2^22 + 2^21 is the largest sum, and fits in 31 bits
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

/// What each output along one axis is made of: `count` inputs from `first`, with fixed-point weights of sum
/// ~1.
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

uint8_t to_byte(int32_t sum) { return uint8_t(std::clamp(sum >> kFractionBits, 0, 255)); }

/// One row: source [inputs, 3] -> out [outputs, 3].
void resize_row(const Weights& weights, const uint8_t* source, uint8_t* out) {
  for (size_t i = 0; i < weights.spans.size(); ++i) {
    const auto [first, count] = weights.spans[i];
    const int32_t* values = &weights.values[i * size_t(weights.taps)];
    const uint8_t* pixel = source + size_t(first) * 3;
    int32_t red = kHalf, green = kHalf, blue = kHalf;
    for (int k = 0; k < count; ++k, pixel += 3) {
      red += values[k] * pixel[0];
      green += values[k] * pixel[1];
      blue += values[k] * pixel[2];
    }
    out[3 * i] = to_byte(red);
    out[3 * i + 1] = to_byte(green);
    out[3 * i + 2] = to_byte(blue);
  }
}

/// All columns: source [inputs, bytes] -> out [outputs, bytes], with `sums` [bytes] as workspace.
void resize_columns(const Weights& weights, const uint8_t* source, size_t bytes, int32_t* sums,
                    uint8_t* out) {
  for (size_t i = 0; i < weights.spans.size(); ++i, out += bytes) {
    const auto [first, count] = weights.spans[i];
    const int32_t* values = &weights.values[i * size_t(weights.taps)];
    std::fill(sums, sums + bytes, kHalf);
    for (int k = 0; k < count; ++k) {
      const uint8_t* row = source + size_t(first + k) * bytes;
      const int32_t value = values[k];
      for (size_t b = 0; b < bytes; ++b) sums[b] += value * row[b];
    }
    for (size_t b = 0; b < bytes; ++b) out[b] = to_byte(sums[b]);
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
  const Weights across = triangle_weights(part.width, size.width);
  for (int y = 0; y < part.height; ++y) {
    const uint8_t* source = image.pixel(part.left, part.top + y);
    uint8_t* row = narrow.data() + size_t(y) * row_bytes;
    if (part.width == size.width) {
      std::memcpy(row, source, row_bytes);
    } else {
      resize_row(across, source, row);
    }
  }
  if (part.height == size.height) {
    std::memcpy(out, narrow.data(), narrow.size());
    return;
  }
  std::vector<int32_t> sums(row_bytes);
  resize_columns(triangle_weights(part.height, size.height), narrow.data(), row_bytes, sums.data(), out);
}

Image resize(const Image& image, const Rectangle& part, ImageSize size) {
  if (size.width < 1 || size.height < 1)
    fail(cat("cannot resize to ", size.width, "x", size.height, " pixels"));
  Image out(size.width, size.height);
  resize_into(image, part, size, out.rgb.data());
  return out;
}

}  // namespace ito::data
