#pragma once

#include "kernels/pool.h"

namespace ito::kernels {

/// Positions first..last along one axis: pixels of a window, or windows that cover a pixel.
struct Range {
  int first, last;
  ITO_HOST_DEVICE int count() const { return last - first + 1; }
};

/// The pixels of an axis of `size` that window p covers.
ITO_HOST_DEVICE inline Range pixels_of(int p, int size, int window, int stride, int pad) {
  const int start = p * stride - pad, end = start + window - 1;
  return {start > 0 ? start : 0, end < size ? end : size - 1};
}

/// The windows, of `count`, that cover pixel i; last < first where none does.
ITO_HOST_DEVICE inline Range windows_of(int i, int count, int window, int stride, int pad) {
  const int above = i + pad - window, end = (i + pad) / stride;
  return {above < 0 ? 0 : above / stride + 1, end < count ? end : count - 1};
}

/// Whether v becomes the largest of those before it, of which `best` is the largest; NaN always does.
template <class A>
ITO_HOST_DEVICE inline bool takes_over(A v, A best) {
  return v > best || v != v;
}

}  // namespace ito::kernels
