#pragma once

#include "kernels/conv2d.h"

/// What our kernels cannot do without a library: calls into cuDNN (cudnn.cu) and cuBLASLt (cublaslt.cu), which
/// plain loops answer on the tests' emulator.
namespace ito::kernels::cuda_library {

/// A pass of a convolution of one source (c2 = 0), every operand of one dtype.
/// algorithm: see cudnn_algorithms (kernels/cuda_library.h). While a step is captured only what was supported
/// before is: getting ready for a convolution allocates, which would break the capture.
bool convolution_supported(CudaStream&, const Conv2dDims&, DType, ConvPass);
int convolution_algorithms(CudaStream&, const Conv2dDims&, DType, ConvPass);
size_t convolution_workspace_bytes(CudaStream&, const Conv2dDims&, DType, ConvPass, int algorithm);
/// forward: a = x, b = w, result y; backward_data: dy, w, dx; backward_weights: dy, x, dw.
struct ConvolutionOperands {
  const void *a, *b;
  void *result, *workspace;
};
void convolve(CudaStream&, const Conv2dDims&, DType, ConvPass, int algorithm, const ConvolutionOperands&);

/// c [rows,columns] = a [rows,depth] b [depth,columns], row-major; a transposed operand is stored as its
/// transpose. a and b of one dtype, c of theirs or f32; sums in f32, rounded once.
struct Product {
  int rows, columns, depth;
  bool a_transposed = false, b_transposed = false;
  In a, b;
  Out c;
};
inline constexpr size_t kProductWorkspaceBytes = size_t(8) << 20;
void multiply(CudaStream&, const Product&, void* workspace);

}  // namespace ito::kernels::cuda_library
