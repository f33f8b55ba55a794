#include "kernels/linear.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/base/math.h"

namespace ito::engine {

using kernels::ConvPass;
using kernels::LinearDims;

namespace {

Tensor workspace(const LinearDims& d, const Tensor& x, ConvPass pass) {
  Device& device = x.device();
  if (!device.has_workspaces()) return {};
  const size_t bytes = device.query(
      [&](auto& s) { return kernels::linear_workspace_bytes(s, device.conv_policy(), d, x.dtype(), pass); });
  return bytes ? Tensor(device, {int64_t(div_up(bytes, sizeof(float)))}, DType::f32) : Tensor{};
}

Gradients linear_gradients(const LinearDims& d, const Tensor& x, const Tensor& w, const Tensor& bias,
                           const Tensor& dy, const Wanted& wanted) {
  Device& device = dy.device();
  Tensor dx = like_if(wanted[0], x), dw = accumulator_if(wanted[1] || wanted[2], w),
         dbias = like_if(wanted[2], bias);
  if (dx.defined()) {
    Tensor scratch = workspace(d, x, ConvPass::backward_data);
    device.launch([&](auto& s) {
      kernels::linear_backward_data(s, device.conv_policy(), d,
                                    {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .workspace = scratch.out()});
    });
  }
  if (dw.defined()) {
    Tensor scratch = workspace(d, x, ConvPass::backward_weights);
    device.launch([&](auto& s) {
      kernels::linear_backward_weights(
          s, device.conv_policy(), d,
          {.dy = dy.in(), .x = x.in(), .dw = dw.out(), .dbias = dbias.out(), .workspace = scratch.out()});
    });
  }
  return {dx, dw, dbias, wanted[3] ? dy : Tensor{}};
}

/// x's shape with the last extent replaced.
Shape with_last(const Shape& s, int64_t last) {
  switch (s.rank()) {
    case 1:
      return {last};
    case 2:
      return {s[0], last};
    case 3:
      return {s[0], s[1], last};
    default:
      return {s[0], s[1], s[2], last};
  }
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& residual) {
  expect_rank("linear", "w", w, 2);
  const int rank = x.shape().rank();
  if (rank < 1 || x.shape()[rank - 1] != w.shape()[1])
    fail(cat("linear: x ", x.shape().str(), " does not end in w's ", w.shape()[1], " inputs"));
  expect_weight("linear", w, x.dtype());
  if (bias.defined()) expect_shape("linear", "bias", bias, {w.shape()[0]});
  const int in = int(w.shape()[1]), out = int(w.shape()[0]);
  const LinearDims d{int(x.count() / in), in, out};
  Device& device = x.device();
  Tensor y(device, with_last(x.shape(), out), x.dtype());
  if (residual.defined()) {
    expect_shape("linear", "residual", residual, y.shape());
    expect_dtype("linear", "residual", residual, y.dtype());
  }
  {
    Tensor scratch = workspace(d, x, ConvPass::forward);
    device.launch([&](auto& s) {
      kernels::linear_forward(s, device.conv_policy(), d,
                              {.x = x.in(),
                               .w = w.in(),
                               .bias = bias.in(),
                               .residual = residual.in(),
                               .y = y.out(),
                               .workspace = scratch.out()});
    });
  }
  device.recorder().flops += 2.0 * d.m * in * out;
  return device.tape().record(
      "linear", y, {x, w, bias, residual},
      [=](const Tensor& dy, const Wanted& wanted) { return linear_gradients(d, x, w, bias, dy, wanted); });
}

}  // namespace ito::engine
