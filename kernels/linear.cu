// y = x w^T + b and its gradients on CUDA: a 1x1 convolution of M images of one pixel, by our own kernels or
// by cuBLASLt.
#include "kernels/conv2d/own_passes.h"
#include "kernels/cuda_library.h"
#include "kernels/linear.h"

namespace ito::kernels {
namespace {

Conv2dDims dims_of(int m, int in, int out, DType dtype) {
  if (dtype == DType::f64) fail("linear: f64 exists on the CPU only; on CUDA use f32 or bf16");
  if (m < 1 || in < 1 || out < 1)
    fail(cat("linear: sizes must be positive, got M = ", m, ", I = ", in, ", O = ", out));
  return {m, 1, 1, in, 0, out, 1, 1, 1, 0, 0, 0, 0};
}

}  // namespace

size_t linear_workspace_bytes(CudaStream& stream, int m, int in, int out, DType dtype, ConvPass pass) {
  return chosen_product_workspace_bytes(stream, m, in, out, dtype, pass,
                                        conv2d::own_workspace_bytes(dims_of(m, in, out, dtype), dtype, pass));
}

void linear_forward(CudaStream& stream, int m, int in, int out, In x, In w, In bias, In residual, Out y,
                    Out workspace) {
  const Conv2dDims d = dims_of(m, in, out, x.dtype);
  const auto run = [&](ConvChoice choice) {
    if (choice == ConvChoice::cudnn)
      cublaslt_forward(stream, m, in, out, x, w, bias, residual, y, workspace);
    else
      conv2d::own_forward(stream, d, x, {}, w, {bias, {}, residual}, y, workspace);
  };
  run(choose_product(stream, d, x.dtype, ConvPass::forward, run));
}

void linear_backward_data(CudaStream& stream, int m, int in, int out, In dy, In w, Out dx, Out workspace) {
  const Conv2dDims d = dims_of(m, in, out, dy.dtype);
  const auto run = [&](ConvChoice choice) {
    if (choice == ConvChoice::cudnn)
      cublaslt_backward_data(stream, m, in, out, dy, w, dx, workspace);
    else
      conv2d::own_backward_data(stream, d, dy, w, dx, {}, workspace);
  };
  run(choose_product(stream, d, dy.dtype, ConvPass::backward_data, run));
}

void linear_backward_weights(CudaStream& stream, int m, int in, int out, In dy, In x, Out dw, Out dbias,
                             Out workspace) {
  const Conv2dDims d = dims_of(m, in, out, x.dtype);
  const auto run = [&](ConvChoice choice) {
    if (choice == ConvChoice::cudnn)
      cublaslt_backward_weights(stream, m, in, out, dy, x, dw, dbias, workspace);
    else
      conv2d::own_backward_weights(stream, d, dy, x, {}, dw, dbias, workspace);
  };
  run(choose_product(stream, d, x.dtype, ConvPass::backward_weights, run));
}

}  // namespace ito::kernels
