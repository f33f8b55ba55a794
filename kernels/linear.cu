// y = x w^T + b and its gradients on CUDA: a 1x1 convolution of an image of M pixels in a row.
#include "kernels/conv2d.h"
#include "kernels/linear.h"

namespace ito::kernels {
namespace {

Conv2dDims dims_of(int m, int in, int out, DType dtype) {
  if (dtype == DType::f64) fail("linear: f64 exists on the CPU only; on CUDA use f32 or bf16");
  if (m < 1 || in < 1 || out < 1)
    fail(cat("linear: sizes must be positive, got M = ", m, ", I = ", in, ", O = ", out));
  return {1, 1, m, in, 0, out, 1, 1, 1, 0, 0, 0, 0};
}

}  // namespace

size_t linear_workspace_bytes(CudaStream& stream, int m, int in, int out, DType dtype, ConvPass pass) {
  return conv2d_workspace_bytes(stream, dims_of(m, in, out, dtype), dtype, pass);
}

void linear_forward(CudaStream& stream, int m, int in, int out, In x, In w, In bias, In residual, Out y,
                    Out workspace) {
  conv2d_forward(stream, dims_of(m, in, out, x.dtype), x, {}, w, {bias, {}, residual}, y, workspace);
}

void linear_backward_data(CudaStream& stream, int m, int in, int out, In dy, In w, Out dx, Out workspace) {
  conv2d_backward_data(stream, dims_of(m, in, out, dy.dtype), dy, w, dx, {}, workspace);
}

void linear_backward_weights(CudaStream& stream, int m, int in, int out, In dy, In x, Out dw, Out dbias,
                             Out workspace) {
  conv2d_backward_weights(stream, dims_of(m, in, out, dy.dtype), dy, x, {}, dw, dbias, workspace);
}

}  // namespace ito::kernels
