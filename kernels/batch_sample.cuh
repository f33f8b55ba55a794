#pragma once

#include "kernels/batch_sample.h"
#include "kernels/cuda_map.cuh"

namespace ito::kernels {

/// x0 of 255 x0, rounded once for the levels of pixels, as a division would: the quotient's error is found exactly and
/// taken off.
__device__ inline float from_level(float level) {
  const float inverse = 1.0f / 255.0f, rough = level * inverse;
  return fmaf(fmaf(-rough, 255.0f, level), inverse, rough);
}

/// Where a sample's elements come from in its image, one after the other.
class SourceIndex {
 public:
  __device__ SourceIndex(const SampleImage& s, int element)
      : s_(s), element_(element), column_(0), channel_(0) {
    if (s.flip) column_ = element / s.c % s.w, channel_ = element % s.c;
  }
  __device__ int next() {
    // The mirror of column q is w - 1 - q, in the same row.
    const int from = s_.flip ? element_ + (s_.w - 1 - 2 * column_) * s_.c : element_;
    ++element_;
    if (++channel_ == s_.c) {
      channel_ = 0;
      if (++column_ == s_.w) column_ = 0;
    }
    return from;
  }

 private:
  const SampleImage& s_;
  int element_, column_, channel_;
};

/// Four elements of a mapped image, as far as it has them.
__device__ inline void read_mapped_quad(const SampleImage& s, int first, float (&x0)[kQuad]) {
  const int pixels = s.h * s.w;
  int at = first / s.c, channel = first % s.c;
  MappedPixel<float> pixel(s, at / s.w, at % s.w);
  for (int k = 0; k < kQuad; ++k) {
    x0[k] = from_level(pixel.level(channel));
    if (++channel < s.c) continue;
    if (++at == pixels) return;
    channel = 0, pixel = MappedPixel<float>(s, at / s.w, at % s.w);
  }
}

/// x0 at elements first .. first + 3 of a sample, one block of Philox; those beyond its end are no numbers of it. V =
/// 4: they are all there, and aligned. Four pixels are one access where they are neighbours in the image; a mirrored
/// pixel of three channels is read by bytes, which lie in the sectors that the warp reads anyway.
template <int V>
__device__ inline void read_quad(const SampleImage& s, int first, float (&x0)[kQuad]) {
  if (s.map) return read_mapped_quad(s, first, x0);
  const int size = s.h * s.w * s.c;
  SourceIndex source(s, first);
  Pack<uint8_t, kQuad> pixel{};
  if (V == kQuad && (!s.flip || s.c % kQuad == 0)) {
    pixel = load<kQuad>(s.pixels + source.next());
  } else {
    for (int k = 0; k < kQuad; ++k)
      if (V == kQuad || first + k < size) pixel.v[k] = load<1>(s.pixels + source.next()).v[0];
  }
  for (int k = 0; k < kQuad; ++k) x0[k] = from_level(float(2 * int(pixel.v[k]) - 255));
}

}  // namespace ito::kernels
