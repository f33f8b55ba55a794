#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/base/math.h"
#include "kernels/conv2d/pass.h"
#include "kernels/conv2d/winograd_transform.h"

namespace ito::kernels::conv2d::winograd {

/// Where a tile's outputs start, as a pixel of the batch, and how many of its 4x4 lie in the image.
struct Corner {
  ptrdiff_t pixel;
  int rows, columns;
};

/// Images cut into tiles of 4x4 outputs, numbered through the batch, row by row.
struct Tiles {
  int n, h, w, down, across;
  explicit Tiles(const Conv2dDims& d)
      : n(d.n), h(d.h), w(d.w), down(div_up(d.h, kTile)), across(div_up(d.w, kTile)) {}

  int count() const { return n * down * across; }

  Corner corner(int tile) const {
    const int row = tile / across, top = row % down * kTile, left = tile % across * kTile;
    return {(ptrdiff_t(row / down) * h + top) * w + left, std::min(kTile, h - top),
            std::min(kTile, w - left)};
  }

  /// The `size` x `size` pixels that start `margin` above and left of a tile; `zeros` for those outside the
  /// image.
  template <int size, int margin>
  void pixels(int tile, const Source& source, const float* zeros, const float* (&to)[size * size]) const {
    const int row = tile / across, top = row % down * kTile - margin, left = tile % across * kTile - margin;
    const ptrdiff_t start = ((ptrdiff_t(row / down) * h + top) * w + left) * source.channels;
    for (int i = 0; i < size; ++i) {
      const bool inside = top + i >= 0 && top + i < h;
      const ptrdiff_t line = start + ptrdiff_t(i) * w * source.channels;
      for (int j = 0; j < size; ++j) {
        const bool seen = inside && left + j >= 0 && left + j < w;
        to[i * size + j] = seen ? source.data + (line + ptrdiff_t(j) * source.channels) : zeros;
      }
    }
  }
};

/// The points of a block of tiles lie as [channels / 16][36][tile][16]; the distance between the 36 planes is
/// a constant, which saves the transforms their address arithmetic, and an odd number of cache lines, so that
/// the planes do not meet in one cache set.
constexpr int plane(int block) { return (block | 1) * kLine; }
constexpr int chunk(int block) { return kPoints * plane(block); }

/// The points of tiles [first, last), at most `block`, of `size` x `size` pixels each, in channels [from, end) of
/// `source`, whole lines of them (end < 0: all); channels up to a whole line are zeros. peek(channel, v) sees each
/// pixel's vector on its way.
template <int block, int size, int margin, class Peek>
void transform_tiles(void (*points)(const Vec*, Vec*), const Tiles& tiles, const Source& source,
                     const float* zeros, int first, int last, float* to, const Peek& peek, int from = 0,
                     int end = -1) {
  if (end < 0) end = lines(source.channels) * kLine;
  for (int tile = first; tile < last; ++tile, to += kLine) {
    const float* pixels[size * size];
    tiles.pixels<size, margin>(tile, source, zeros, pixels);
    for (int c = from; c < end; c += kLanes) {
      float* const at = to + (c - from) / kLine * chunk(block) + c % kLine;
      const int count = source.channels - c;
      const auto write = [&](int i, int j, Vec v) { store(at + (i * kPatch + j) * plane(block), v); };
      if (count >= kLanes) {
        const auto read = [&](int i, int j) { return peek(c, load(pixels[i * size + j] + c)); };
        transform_2d<size, kPatch, Vec>(points, read, write);
      } else {
        const auto read = [&](int i, int j) { return peek(c, load_some(pixels[i * size + j] + c, count)); };
        transform_2d<size, kPatch, Vec>(points, read, write);
      }
    }
  }
}

}  // namespace ito::kernels::conv2d::winograd
