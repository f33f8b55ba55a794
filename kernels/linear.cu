// y = x w^T + b and its gradients on CUDA, as 1x1 convolutions by our own kernels, or by cuBLASLt.
#include "kernels/conv2d/own_passes.h"
#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_library.h"
#include "kernels/linear.h"

namespace ito::kernels {
namespace {

Conv2dDims checked_convolution(const LinearDims& d, DType dtype) {
  check_cuda_dtype("linear", dtype);
  check_linear(d);
  return d.as_convolution();
}

}  // namespace

size_t linear_workspace_bytes(CudaStream&, const ConvPolicy& policy, const LinearDims& d, DType dtype,
                              ConvPass pass) {
  const size_t own = conv2d::own_workspace_bytes(checked_convolution(d, dtype), dtype, pass);
  return product_workspace_bytes(policy, d, dtype, pass, own);
}

void linear_forward(CudaStream& stream, ConvPolicy& policy, const LinearDims& d, const LinearForward& o) {
  const Conv2dDims convolution = checked_convolution(d, o.x.dtype);
  const auto run = [&](Provider provider) {
    if (provider == Provider::library) return cublaslt_forward(stream, d, o);
    conv2d::own_forward(stream, convolution,
                        {.x = o.x,
                         .w = o.w,
                         .epilogue = {.bias = o.bias, .residual = o.residual},
                         .y = o.y,
                         .workspace = o.workspace});
  };
  run(product_provider(stream, policy, d, o.x.dtype, ConvPass::forward, run));
}

void linear_backward_data(CudaStream& stream, ConvPolicy& policy, const LinearDims& d,
                          const LinearBackwardData& o) {
  const Conv2dDims convolution = checked_convolution(d, o.dy.dtype);
  const auto run = [&](Provider provider) {
    if (provider == Provider::library) return cublaslt_backward_data(stream, d, o);
    conv2d::own_backward_data(stream, convolution,
                              {.dy = o.dy, .w = o.w, .dx = o.dx, .workspace = o.workspace});
  };
  run(product_provider(stream, policy, d, o.dy.dtype, ConvPass::backward_data, run));
}

void linear_backward_weights(CudaStream& stream, ConvPolicy& policy, const LinearDims& d,
                             const LinearBackwardWeights& o) {
  const Conv2dDims convolution = checked_convolution(d, o.x.dtype);
  const auto run = [&](Provider provider) {
    if (provider == Provider::library) return cublaslt_backward_weights(stream, d, o);
    conv2d::own_backward_weights(
        stream, convolution, {.dy = o.dy, .x = o.x, .dw = o.dw, .dbias = o.dbias, .workspace = o.workspace});
  };
  run(product_provider(stream, policy, d, o.x.dtype, ConvPass::backward_weights, run));
}

}  // namespace ito::kernels
