#include "bench/kernel_convolutions.h"

#include "bench/kernel_cases.h"
#include "bench/kernel_libraries.h"
#include "kernels/pointwise.h"

namespace ito::bench {

namespace {

using kernels::Conv2dDims;
using kernels::ConvPass;
using Shared = std::shared_ptr<ConvTensors>;

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weights};

std::string shape_text(const Conv2dDims& d) {
  const std::string channels = d.c2 ? cat("(", d.c1, "+", d.c2, ")") : cat(d.c1);
  return cat(d.n, "x", d.h, "x", d.w, "x", channels, " -> ", d.k, ", ", d.r, "x", d.s,
             d.stride > 1 ? cat(" / ", d.stride) : "");
}

std::string kernel_of(ConvPass pass) { return cat("conv2d_", name_of(pass)); }

Shape input_shape(const Conv2dDims& d, int channels) { return {d.n, d.h, d.w, channels}; }
Shape output_shape(const Conv2dDims& d) { return {d.n, d.out_h(), d.out_w(), d.k}; }
Shape filter_shape(const Conv2dDims& d) { return {d.k, d.r, d.s, d.c()}; }

double flops_of(const Conv2dDims& d) {
  return 2.0 * double(output_shape(d).count()) * double(d.r) * d.s * d.c();
}

/// Both images once, and the filter or its gradient (which is f32).
double bytes_of(const Setting& setting, const Conv2dDims& d, ConvPass pass) {
  const DType filter = pass == ConvPass::backward_weights ? DType::f32 : setting.weights();
  return double(input_shape(d, d.c()).count() + output_shape(d).count()) * double(size_of(setting.dtype)) +
         double(filter_shape(d).count()) * double(size_of(filter));
}

Shared tensors(Operands& operands, const Setting& setting, const Conv2dDims& d, ConvPass pass) {
  const bool weights_wanted = pass == ConvPass::backward_weights;
  auto t = std::make_shared<ConvTensors>();
  t->dims = d, t->pass = pass;
  t->x = operands.normal(input_shape(d, d.c1), setting.dtype);
  if (d.c2) t->x2 = operands.normal(input_shape(d, d.c2), setting.dtype);
  t->w = operands.normal(filter_shape(d), weights_wanted ? DType::f32 : setting.weights());
  t->bias = operands.normal({d.k}, DType::f32);
  t->y = operands.normal(output_shape(d), setting.dtype);
  Device& device = operands.device();
  t->workspace = operands.workspace(device.query([&](auto& s) {
    return kernels::conv2d_workspace_bytes(s, device.conv_policy(), d, setting.dtype, pass);
  }));
  return t;
}

Runnable own_pass(Device& device, const Shared& t) {
  return [&device, t] { run_pass(device, device.conv_policy(), *t, t->workspace); };
}

/// The sums rounded, then the time embedding added, then the residual.
template <class Stream>
void run_unfused(Stream& s, kernels::ConvPolicy& policy, ConvTensors& t) {
  const Conv2dDims& d = t.dims;
  kernels::conv2d_forward(s, policy, d,
                          {.x = t.x.in(),
                           .x2 = t.x2.in(),
                           .w = t.w.in(),
                           .epilogue = {.bias = t.bias.in()},
                           .y = t.after_conv.out(),
                           .workspace = t.workspace.out()});
  kernels::add_channels_forward(s, d.n, d.out_h() * d.out_w(), d.k, t.after_conv.in(), t.shift.in(),
                                t.after_shift.out());
  kernels::add_scaled(s, t.y.count(), 1, t.after_shift.in(), 1, t.residual.in(), t.y.out());
}

/// Its uses are counted with the plain convolutions.
Case epilogue_case(const Setting& setting, const Conv2dDims& d) {
  const double residual = double(output_shape(d).count()) * double(size_of(setting.dtype));
  return {"convolution with epilogue",
          kernel_of(ConvPass::forward),
          shape_text(d),
          std::string(name_of(setting.dtype)),
          0,
          flops_of(d),
          bytes_of(setting, d, ConvPass::forward) + residual,
          [=](Operands& operands) -> PreparedCase {
            const Shared t = tensors(operands, setting, d, ConvPass::forward);
            t->shift = operands.normal({d.n, d.k}, setting.dtype);
            t->residual = operands.normal(output_shape(d), setting.dtype);
            t->after_conv = operands.zeros(output_shape(d), setting.dtype);
            t->after_shift = operands.zeros(output_shape(d), setting.dtype);
            Device& device = operands.device();
            return {
                own_pass(device, t),
                {"conv2d, add_channels, add",
                 [&device, t] { device.launch([&](auto& s) { run_unfused(s, device.conv_policy(), *t); }); }},
                t->y};
          }};
}

}  // namespace

void run_pass(Device& device, kernels::ConvPolicy& policy, ConvTensors& t, Tensor& workspace) {
  device.launch([&](auto& s) {
    switch (t.pass) {
      case ConvPass::forward:
        return kernels::conv2d_forward(
            s, policy, t.dims,
            {.x = t.x.in(),
             .x2 = t.x2.in(),
             .w = t.w.in(),
             .epilogue = {.bias = t.bias.in(), .shift = t.shift.in(), .residual = t.residual.in()},
             .y = t.y.out(),
             .workspace = workspace.out()});
      case ConvPass::backward_data:
        return kernels::conv2d_backward_data(s, policy, t.dims,
                                             {.dy = t.y.in(),
                                              .w = t.w.in(),
                                              .dx = t.x.out(),
                                              .dx2 = t.x2.out(),
                                              .workspace = workspace.out()});
      case ConvPass::backward_weights:
        return kernels::conv2d_backward_weights(s, policy, t.dims,
                                                {.dy = t.y.in(),
                                                 .x = t.x.in(),
                                                 .x2 = t.x2.in(),
                                                 .dw = t.w.out(),
                                                 .dbias = t.bias.out(),
                                                 .workspace = workspace.out()});
    }
  });
}

Case convolution_case(const Setting& setting, const Used<engine::ConvCall>& used) {
  const Conv2dDims d = used.dims.dims;
  const ConvPass pass = used.dims.pass;
  return {"convolution",
          kernel_of(pass),
          shape_text(d),
          std::string(name_of(setting.dtype)),
          used.uses,
          flops_of(d),
          bytes_of(setting, d, pass),
          [=](Operands& operands) -> PreparedCase {
            const Shared t = tensors(operands, setting, d, pass);
            Device& device = operands.device();
            return {own_pass(device, t), library_convolution(operands, t),
                    // oneDNN's has operands of its own: nothing to compare.
                    device.backend() == engine::Backend::cuda ? t->result() : Tensor{}};
          }};
}

Cases convolution_cases(const Setting& setting, const std::vector<Used<engine::ConvCall>>& convolutions) {
  Cases cases;
  for (ConvPass pass : kPasses)
    for (const auto& used : convolutions)
      // Training needs no gradient with respect to the images.
      if (pass != ConvPass::backward_data || used.dims.dims.c() != setting.network.channels)
        cases.push_back(convolution_case(setting, {{used.dims.dims, pass}, used.uses}));
  return cases;
}

Cases epilogue_cases(const Setting& setting, const std::vector<Used<engine::ConvCall>>& convolutions) {
  Cases cases;
  for (const auto& used : convolutions) {
    const Conv2dDims& d = used.dims.dims;
    if (d.r == 3 && d.stride == 1 && d.c2 == 0 && d.c1 == d.k) cases.push_back(epilogue_case(setting, d));
  }
  return cases;
}

Conv2dDims unet_cu_convolution() {
  return {.n = 32,
          .h = 64,
          .w = 64,
          .c1 = 192,
          .k = 64,
          .r = 3,
          .s = 3,
          .pad_top = 1,
          .pad_left = 1,
          .pad_bottom = 1,
          .pad_right = 1};
}

}  // namespace ito::bench
