#pragma once

#include <algorithm>

#include "kernels/conv2d/algorithms.h"
#include "kernels/conv2d/winograd_transform.h"

namespace ito::kernels::conv2d::winograd {

/// Where a tile's outputs start, as a pixel of the batch, and how many of its 4x4 lie in the image.
struct Corner {
  ptrdiff_t pixel;
  int rows, columns;
};

/// The 6x6 input pixels under a tile; -1 for padding.
struct Patch {
  ptrdiff_t pixel[kPoints];
};

/// Images cut into tiles of 4x4 outputs, numbered through the batch, row by row.
struct Tiles {
  int n, h, w, down, across;
  explicit Tiles(const Conv2dDims& d)
      : n(d.n), h(d.h), w(d.w), down((d.h + kTile - 1) / kTile), across((d.w + kTile - 1) / kTile) {}

  int count() const { return n * down * across; }
  Corner corner(int tile) const {
    const int top = tile / across % down * kTile, left = tile % across * kTile;
    const ptrdiff_t row = ptrdiff_t(tile / across / down) * h + top;
    return {row * w + left, std::min(kTile, h - top), std::min(kTile, w - left)};
  }
  Patch patch(int tile) const {
    const int top = tile / across % down * kTile - 1, left = tile % across * kTile - 1;
    const ptrdiff_t image = ptrdiff_t(tile / across / down) * h;
    Patch patch;
    for (int i = 0; i < kPoints; ++i) {
      const int y = top + i / kPatch, x = left + i % kPatch;
      patch.pixel[i] = y >= 0 && y < h && x >= 0 && x < w ? (image + y) * w + x : -1;
    }
    return patch;
  }
};

/// Between the 36 planes of points, which would else meet in one cache set: a cache line.
constexpr int kSkew = 16;

/// One of the arrays that hold an image's channels.
struct Source {
  const float* data;
  int channels;
};

/// The channels of two sources, each rounded up to whole vectors.
inline int padded(int c1, int c2) { return round_up(c1, kLanes) + round_up(c2, kLanes); }

/// The input points of tiles [first, last): plane i, of `plane` floats, holds point i as [tile][row]. A row
/// is the channels of both sources, each padded with zeros to whole vectors. `zeros` stands for a padding
/// pixel.
void transform_inputs(const Tiles&, const Source (&sources)[2], const float* zeros, int first, int last,
                      float* to, ptrdiff_t row, ptrdiff_t plane);

size_t workspace_bytes(CpuStream&, const Conv2dDims&, ConvPass);
void forward(CpuStream&, const Conv2dDims&, const Forward<float>&, std::byte* workspace);
void backward_data(CpuStream&, const Conv2dDims&, const BackwardData<float>&, std::byte* workspace);

size_t weights_workspace_bytes(CpuStream&, const Conv2dDims&);
void backward_weights(CpuStream&, const Conv2dDims&, const BackwardWeights<float>&, std::byte* workspace);

}  // namespace ito::kernels::conv2d::winograd
