#pragma once

#include "kernels/carver.h"
#include "kernels/conv2d.h"

namespace ito::kernels::conv2d {

/// Operands of the three passes, as in kernels/conv2d.h; all of one type, double or float.
template <class T>
struct Forward {
  const T *x, *x2, *w, *bias;
  T* y;
};
template <class T>
struct BackwardData {
  const T *dy, *w;
  T *dx, *dx2;
};
template <class T>
struct BackwardWeights {
  const T *dy, *x, *x2;
  T *dw, *dbias;
};

/// A way to compute passes in f32; null: not this one. `workspace` has workspace_bytes and starts at a multiple of
/// kAlign. No bit of a result depends on the number of threads, nor one of an image on its batch.
struct Algorithm {
  const char* name;
  size_t (*workspace_bytes)(CpuStream&, const Conv2dDims&, ConvPass);
  void (*forward)(CpuStream&, const Conv2dDims&, const Forward<float>&, std::byte* workspace);
  void (*backward_data)(CpuStream&, const Conv2dDims&, const BackwardData<float>&, std::byte* workspace);
  void (*backward_weights)(CpuStream&, const Conv2dDims&, const BackwardWeights<float>&,
                           std::byte* workspace);
};

/// Any shape, by im2col of strips of pixels and a matrix product.
extern const Algorithm kStrips;
/// 1x1, stride 1, no padding: a matrix product, read and written in place.
extern const Algorithm kPointwise;
/// The weights' gradient of any shape: a matrix product with gathered columns.
extern const Algorithm kColumns;
/// 3x3, stride 1, padding 1 by our own Winograd algorithm.
extern const Algorithm kWinograd;
#ifdef HAVE_ONEDNN
/// Any shape, oneDNN's direct convolution on NHWC as it is.
extern const Algorithm kOneDnnDirect;
#endif

/// The reference: plain loops in f64, no workspace.
void reference_forward(CpuStream&, const Conv2dDims&, const Forward<double>&);
void reference_backward_data(CpuStream&, const Conv2dDims&, const BackwardData<double>&);
void reference_backward_weights(CpuStream&, const Conv2dDims&, const BackwardWeights<double>&);

constexpr size_t kAlign = 64;  // a cache line; also what oneDNN wants of its scratchpad

}  // namespace ito::kernels::conv2d
