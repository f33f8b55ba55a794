#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

enum class Pooling : uint8_t { max, mean };

/// Windows of r x s pixels over [N,H,W,C] images, `stride` apart: out_h = (h + pad_top + pad_bottom - r) /
/// stride + 1. A padding is less than the window, so that each window has a pixel of the image.
struct PoolDims {
  int n, h, w, c;
  int r, s;
  int stride;
  int pad_top, pad_left, pad_bottom, pad_right;
  ITO_HOST_DEVICE int out_h() const { return (h + pad_top + pad_bottom - r) / stride + 1; }
  ITO_HOST_DEVICE int out_w() const { return (w + pad_left + pad_right - s) / stride + 1; }
};

/// y[n,p,q,c] = the largest, or the mean, of x[n, p*stride + i - pad_top, q*stride + j - pad_left, c] over those
/// i < r, j < s that are inside the image: padding does not count, and a mean divides by the number of pixels inside.
/// NaN counts as the largest number. x [N,H,W,C], y [N,P,Q,C] of one dtype, apart; means sum in f32 (f64 if x is).
void pool_forward(CpuStream&, Pooling, const PoolDims&, In x, Out y);
void pool_forward(CudaStream&, Pooling, const PoolDims&, In x, Out y);

/// dx = the transposed map of dy; a maximum's gradient goes to the first pixel, row by row, that holds it
/// (to the last NaN, if there is one). x is read for max alone, and may be null for mean. Sums in f32 (f64).
void pool_backward(CpuStream&, Pooling, const PoolDims&, In dy, In x, Out dx);
void pool_backward(CudaStream&, Pooling, const PoolDims&, In dy, In x, Out dx);

/// Error: windows that do not fit their image.
void check_pool(const PoolDims&);

}  // namespace ito::kernels
