#pragma once

#include "kernels/conv2d/algorithms.h"

namespace ito::kernels::conv2d::winograd {

size_t workspace_bytes(CpuStream&, const Conv2dDims&, ConvPass);
void forward(CpuStream&, const Conv2dDims&, const Forward<float>&, std::byte* workspace);
void backward_data(CpuStream&, const Conv2dDims&, const BackwardData<float>&, std::byte* workspace);

size_t weights_workspace_bytes(CpuStream&, const Conv2dDims&);
void backward_weights(CpuStream&, const Conv2dDims&, const BackwardWeights<float>&, std::byte* workspace);

}  // namespace ito::kernels::conv2d::winograd
