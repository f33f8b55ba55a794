#pragma once

#include "kernels/conv2d.h"

/// Our own kernels' passes on CUDA: as conv2d_forward and so on, which choose between them and a library's.
namespace ito::kernels::conv2d {

size_t own_workspace_bytes(const Conv2dDims&, DType, ConvPass);
void own_forward(CudaStream&, const Conv2dDims&, In x, In x2, In w, const ConvEpilogue&, Out y,
                 Out workspace);
void own_backward_data(CudaStream&, const Conv2dDims&, In dy, In w, Out dx, Out dx2, Out workspace);
void own_backward_weights(CudaStream&, const Conv2dDims&, In dy, In x, In x2, Out dw, Out dbias,
                          Out workspace);

}  // namespace ito::kernels::conv2d
