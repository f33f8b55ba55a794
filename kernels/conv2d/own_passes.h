#pragma once

#include "kernels/conv2d.h"

/// The passes of a convolution by our own CUDA kernels: what Provider::own stands for.
namespace ito::kernels::conv2d {

size_t own_workspace_bytes(const Conv2dDims&, DType, ConvPass);
void own_forward(CudaStream&, const Conv2dDims&, const ConvForward&);
void own_backward_data(CudaStream&, const Conv2dDims&, const ConvBackwardData&);
void own_backward_weights(CudaStream&, const Conv2dDims&, const ConvBackwardWeights&);

}  // namespace ito::kernels::conv2d
