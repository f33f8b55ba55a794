#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Images of H x W pixels with p^2 C channels, or of pH x pW pixels with C: the same numbers.
struct PixelShuffleDims {
  int n, h, w, c;  // h, w: of the small image; c: channels of the large one
  int p;
};

/// small[n,h,w,(c p + i) p + j] = large[n,p h + i,p w + j,c] for i, j in 0 .. p - 1: torch's pixel_unshuffle. large
/// [N,pH,pW,C], small [N,H,W,p^2 C], of one dtype.
void pixel_unshuffle(CpuStream&, const PixelShuffleDims&, In large, Out small);
void pixel_unshuffle(CudaStream&, const PixelShuffleDims&, In large, Out small);

/// Its inverse and its gradient, torch's pixel_shuffle.
void pixel_shuffle(CpuStream&, const PixelShuffleDims&, In small, Out large);
void pixel_shuffle(CudaStream&, const PixelShuffleDims&, In small, Out large);

/// Error: a size that is not positive.
void check_pixel_shuffle(const PixelShuffleDims&);

/// Where element e of a small image is in the large one.
ITO_HOST_DEVICE inline int pixel_shuffled(const PixelShuffleDims& d, int e) {
  const int channels = d.p * d.p * d.c, pixel = e / channels, k = e % channels;
  const int row = pixel / d.w, column = pixel % d.w;
  const int i = k / d.p % d.p, j = k % d.p, channel = k / (d.p * d.p);
  return ((row * d.p + i) * d.w * d.p + column * d.p + j) * d.c + channel;
}

}  // namespace ito::kernels
