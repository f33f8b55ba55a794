#pragma once

#include "kernels/batch_sample.h"

namespace ito::kernels {

/// Elements of a row that are made at a time: they stay in the first-level cache.
inline constexpr int kRowPart = 1024;

/// A mapped image's elements [begin, begin + count) of a row.
template <class A>
void read_mapped_row(const SampleImage& s, int row, int begin, int count, A* __restrict x0) {
  int column = begin / s.c, channel = begin % s.c;
  MappedPixel<A> pixel(s, row, column);
  for (int i = 0; i < count; ++i) {
    x0[i] = pixel.level(channel) / A(255);
    if (++channel < s.c || i + 1 == count) continue;
    channel = 0, pixel = MappedPixel<A>(s, row, ++column);
  }
}

/// An image's numbers at elements [begin, begin + count) of a row. (2 p - 255) / 255 is p / 127.5 - 1 rounded once, so
/// that levels p and 255 - p are exact opposites.
template <class A>
void read_row(const SampleImage& s, int row, int begin, int count, A* __restrict x0) {
  if (s.map) return read_mapped_row(s, row, begin, count, x0);
  const uint8_t* const from = s.pixels + int64_t(row) * s.w * s.c;
  if (!s.flip) {
    for (int i = 0; i < count; ++i) x0[i] = A(2 * int(from[begin + i]) - 255) / A(255);
    return;
  }
  int column = begin / s.c, channel = begin % s.c;
  for (int i = 0; i < count; ++i) {
    x0[i] = A(2 * int(from[(s.w - 1 - column) * s.c + channel]) - 255) / A(255);
    if (++channel == s.c) channel = 0, ++column;
  }
}

}  // namespace ito::kernels
