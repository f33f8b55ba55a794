#include "kernels/conv2d.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/base/math.h"
#include "kernels/pointwise.h"

namespace ito::engine {

using kernels::Conv2dDims;
using kernels::ConvPass;

int64_t Concat::channels() const { return first.shape()[3] + (second.defined() ? second.shape()[3] : 0); }

namespace {

Conv2dDims conv2d_dims(const Concat& x, const Tensor& w, const ConvTerms& terms, int stride,
                       const Padding& p) {
  expect_rank("conv2d", "x", x.first, 4);
  expect_rank("conv2d", "w", w, 4);
  const Shape& a = x.first.shape();
  const int64_t c2 = x.second.defined() ? x.second.shape()[3] : 0;
  if (c2) {
    expect_shape("conv2d", "x's second source", x.second, {a[0], a[1], a[2], c2});
    expect_dtype("conv2d", "x's second source", x.second, x.first.dtype());
  }
  if (w.shape()[3] != a[3] + c2)
    fail(cat("conv2d: w ", w.shape().str(), " reads ", w.shape()[3], " channels, x has ", a[3] + c2));
  expect_weight("conv2d", w, x.first.dtype());
  if (terms.bias.defined()) expect_shape("conv2d", "bias", terms.bias, {w.shape()[0]});
  if (stride < 1) fail(cat("conv2d: stride must be at least 1, is ", stride));
  const Conv2dDims d{.n = int(a[0]),
                     .h = int(a[1]),
                     .w = int(a[2]),
                     .c1 = int(a[3]),
                     .c2 = int(c2),
                     .k = int(w.shape()[0]),
                     .r = int(w.shape()[1]),
                     .s = int(w.shape()[2]),
                     .stride = stride,
                     .pad_top = p.top,
                     .pad_left = p.left,
                     .pad_bottom = p.bottom,
                     .pad_right = p.right};
  if (d.h + p.top + p.bottom < d.r || d.w + p.left + p.right < d.s)
    fail(cat("conv2d: a ", d.r, "x", d.s, " filter does not fit a padded image of ", x.first.shape().str()));
  return d;
}

Tensor workspace(const Conv2dDims& d, const Tensor& x, ConvPass pass) {
  Device& device = x.device();
  if (auto* const calls = device.recorder().conv_calls) calls->push_back({d, pass});
  if (!device.has_workspaces()) return {};
  const size_t bytes = device.query(
      [&](auto& s) { return kernels::conv2d_workspace_bytes(s, device.conv_policy(), d, x.dtype(), pass); });
  return bytes ? Tensor(device, {int64_t(div_up(bytes, sizeof(float)))}, DType::f32) : Tensor{};
}

/// terms: those whose shapes gradients have; the residual's is dy's.
Gradients conv2d_gradients(const Conv2dDims& d, const Concat& x, const Tensor& w, const ConvTerms& terms,
                           const Tensor& dy, const Wanted& wanted) {
  Device& device = dy.device();
  Tensor dx = like_if(wanted[0], x.first), dx2 = like_if(wanted[1], x.second);
  if (dx.defined() || dx2.defined()) {
    Tensor scratch = workspace(d, x.first, ConvPass::backward_data);
    device.launch([&](auto& s) {
      kernels::conv2d_backward_data(
          s, device.conv_policy(), d,
          {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .dx2 = dx2.out(), .workspace = scratch.out()});
    });
  }
  Tensor dw = accumulator_if(wanted[2] || wanted[3], w), dbias = like_if(wanted[3], terms.bias);
  if (dw.defined()) {
    Tensor scratch = workspace(d, x.first, ConvPass::backward_weights);
    device.launch([&](auto& s) {
      kernels::conv2d_backward_weights(s, device.conv_policy(), d,
                                       {.dy = dy.in(),
                                        .x = x.first.in(),
                                        .x2 = x.second.in(),
                                        .dw = dw.out(),
                                        .dbias = dbias.out(),
                                        .workspace = scratch.out()});
    });
  }
  Tensor dshift = like_if(wanted[4], terms.shift);
  if (dshift.defined())
    device.launch([&](auto& s) {
      kernels::add_channels_backward(s, d.n, d.out_h() * d.out_w(), d.k, dy.in(), dshift.out());
    });
  return {dx, dx2, dw, dbias, dshift, wanted[5] ? dy : Tensor{}};
}

void check_terms(const ConvTerms& terms, const Tensor& y) {
  const Shape& s = y.shape();
  if (terms.shift.defined()) {
    expect_shape("conv2d", "shift", terms.shift, {s[0], s[3]});
    expect_dtype("conv2d", "shift", terms.shift, y.dtype());
  }
  if (terms.residual.defined()) {
    expect_shape("conv2d", "residual", terms.residual, s);
    expect_dtype("conv2d", "residual", terms.residual, y.dtype());
  }
}

}  // namespace

Tensor conv2d(const Concat& x, const Tensor& w, const ConvTerms& terms, int stride, const Padding& padding) {
  const Conv2dDims d = conv2d_dims(x, w, terms, stride, padding);
  Device& device = x.first.device();
  Tensor y(device, {d.n, d.out_h(), d.out_w(), d.k}, x.first.dtype());
  check_terms(terms, y);
  {
    Tensor scratch = workspace(d, x.first, ConvPass::forward);
    device.launch([&](auto& s) {
      kernels::conv2d_forward(
          s, device.conv_policy(), d,
          {.x = x.first.in(),
           .x2 = x.second.in(),
           .w = w.in(),
           .epilogue = {.bias = terms.bias.in(), .shift = terms.shift.in(), .residual = terms.residual.in()},
           .y = y.out(),
           .workspace = scratch.out()});
    });
  }
  device.recorder().flops += 2.0 * double(y.count()) * d.r * d.s * d.c();
  // The residual's numbers are no longer needed; to keep them would keep a whole activation.
  return device.tape().record(
      "conv2d", y, {x.first, x.second, w, terms.bias, terms.shift, terms.residual},
      [d, x, w, kept = ConvTerms(terms.bias, terms.shift)](const Tensor& dy, const Wanted& wanted) {
        return conv2d_gradients(d, x, w, kept, dy, wanted);
      });
}

}  // namespace ito::engine
