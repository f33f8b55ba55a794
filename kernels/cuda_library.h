#pragma once

#include <functional>

#include "kernels/conv2d.h"
#include "kernels/linear.h"

/// NVIDIA's libraries as alternatives to our own kernels. Each is opened by dlopen when it is first asked for, in the
/// folders that the environment variable ITO_CUDA_LIBRARIES names (with ':' between them) and then where the system
/// looks; one that is missing is reported once by warn(). In the tests' emulator plain loops answer in their place.
namespace ito::kernels {

// ---- convolutions: cuDNN ----

/// Whose code a pass runs on, own or library: what the policy says where cuDNN supports the pass. fastest runs
/// both by `run` (any number of times) and keeps the faster one in the plan. While a graph is captured, a shape
/// that was not asked for before runs on our own kernels and stays unknown.
Provider convolution_provider(CudaStream&, ConvPolicy&, const Conv2dDims&, DType, ConvPass,
                              const std::function<void(Provider)>& run);
/// Bytes of workspace for any provider that may be chosen. own: bytes that our kernels need.
size_t convolution_workspace_bytes(CudaStream&, const ConvPolicy&, const Conv2dDims&, DType, ConvPass,
                                   size_t own);

bool cudnn_available();
/// Padding must be the same at both ends, and cuDNN must know a deterministic algorithm. Which one it is
/// does not depend on the number of images; what cuDNN does inside it may.
bool cudnn_supports(CudaStream&, const Conv2dDims&, DType, ConvPass);
/// How many algorithms ConvComparison::cudnn_algorithm can choose from: 0 is the deterministic one; those from 1 on
/// are what cuDNN offers for this shape, the likely fastest first, deterministic or not, and each may still
/// refuse when it is run.
int cudnn_algorithms(CudaStream&, const Conv2dDims&, DType, ConvPass);
size_t cudnn_workspace_bytes(CudaStream&, const ConvPolicy&, const Conv2dDims&, DType, ConvPass);

/// As conv2d_forward and so on (kernels/conv2d.h). cuDNN writes y and dw in x's dtype: in bf16 a result with
/// an epilogue is rounded twice, and dw to 8 bits of mantissa. dbias is summed in f32.
void cudnn_forward(CudaStream&, const ConvPolicy&, const Conv2dDims&, const ConvForward&);
void cudnn_backward_data(CudaStream&, const ConvPolicy&, const Conv2dDims&, const ConvBackwardData&);
void cudnn_backward_weights(CudaStream&, const ConvPolicy&, const Conv2dDims&, const ConvBackwardWeights&);

// ---- matrix products: cuBLASLt ----

/// As convolution_provider and convolution_workspace_bytes; the plan holds a product as a 1x1 convolution.
Provider product_provider(CudaStream&, ConvPolicy&, const LinearDims&, DType, ConvPass,
                          const std::function<void(Provider)>& run);
size_t product_workspace_bytes(const ConvPolicy&, const LinearDims&, DType, ConvPass, size_t own);

bool cublaslt_available();
size_t cublaslt_workspace_bytes(const LinearDims&, DType, ConvPass);

/// As linear_forward and so on (kernels/linear.h), to the same precision.
void cublaslt_forward(CudaStream&, const LinearDims&, const LinearForward&);
void cublaslt_backward_data(CudaStream&, const LinearDims&, const LinearBackwardData&);
void cublaslt_backward_weights(CudaStream&, const LinearDims&, const LinearBackwardWeights&);

}  // namespace ito::kernels
