// y = x w^T + b and its gradients, as 1x1 convolutions of images of one pixel.
#include "kernels/linear.h"

namespace ito::kernels {
namespace {

Conv2dDims checked_convolution(const LinearDims& d) {
  check_linear(d);
  return d.as_convolution();
}

}  // namespace

void check_linear(const LinearDims& d) {
  if (d.m < 1 || d.in < 1 || d.out < 1)
    fail(cat("linear: sizes must be positive, got M = ", d.m, ", I = ", d.in, ", O = ", d.out));
}

size_t linear_workspace_bytes(CpuStream& stream, const ConvPolicy& policy, const LinearDims& d, DType dtype,
                              ConvPass pass) {
  return conv2d_workspace_bytes(stream, policy, checked_convolution(d), dtype, pass);
}

void linear_forward(CpuStream& stream, const ConvPolicy& policy, const LinearDims& d,
                    const LinearForward& o) {
  conv2d_forward(stream, policy, checked_convolution(d),
                 {.x = o.x,
                  .w = o.w,
                  .epilogue = {.bias = o.bias, .residual = o.residual},
                  .y = o.y,
                  .workspace = o.workspace});
}

void linear_backward_data(CpuStream& stream, const ConvPolicy& policy, const LinearDims& d,
                          const LinearBackwardData& o) {
  conv2d_backward_data(stream, policy, checked_convolution(d),
                       {.dy = o.dy, .w = o.w, .dx = o.dx, .workspace = o.workspace});
}

void linear_backward_weights(CpuStream& stream, const ConvPolicy& policy, const LinearDims& d,
                             const LinearBackwardWeights& o) {
  conv2d_backward_weights(stream, policy, checked_convolution(d),
                          {.dy = o.dy, .x = o.x, .dw = o.dw, .dbias = o.dbias, .workspace = o.workspace});
}

}  // namespace ito::kernels
