#include "bench/kernel_cases.h"
#include "bench/kernel_libraries.h"
#include "kernels/attention.h"
#include "kernels/linear.h"

namespace ito::bench {

namespace {

using kernels::AttentionDims;
using kernels::ConvPass;
using kernels::LinearDims;
using Shared = std::shared_ptr<ProductTensors>;

struct NamedPass {
  const char* name;
  ConvPass pass;
};
constexpr NamedPass kPasses[] = {{"linear_forward", ConvPass::forward},
                                 {"linear_backward_data", ConvPass::backward_data},
                                 {"linear_backward_weights", ConvPass::backward_weights}};

Shared tensors(Operands& operands, const Setting& setting, const LinearDims& d, ConvPass pass) {
  const bool weights_wanted = pass == ConvPass::backward_weights;
  auto t = std::make_shared<ProductTensors>();
  t->dims = d, t->pass = pass;
  t->x = operands.normal({d.m, d.in}, setting.dtype);
  t->w = operands.normal({d.out, d.in}, weights_wanted ? DType::f32 : setting.weights());
  t->bias = operands.normal({d.out}, DType::f32);
  t->y = operands.normal({d.m, d.out}, setting.dtype);
  Device& device = operands.device();
  t->workspace = operands.workspace(device.query([&](auto& s) {
    return kernels::linear_workspace_bytes(s, device.conv_policy(), d, setting.dtype, pass);
  }));
  return t;
}

Case product_case(const Setting& setting, const Used<LinearDims>& used, const NamedPass& pass) {
  const LinearDims d = used.dims;
  const DType filter = pass.pass == ConvPass::backward_weights ? DType::f32 : setting.weights();
  return {"linear",
          pass.name,
          cat(d.m, "x", d.in, " -> ", d.out),
          std::string(name_of(setting.dtype)),
          used.uses,
          2.0 * d.m * double(d.in) * d.out,
          double(d.m) * (double(d.in) + d.out) * double(size_of(setting.dtype)) +
              double(d.in) * d.out * double(size_of(filter)),
          [=, pass = pass.pass](Operands& operands) -> PreparedCase {
            const Shared t = tensors(operands, setting, d, pass);
            Device& device = operands.device();
            return {[&device, t] { run_pass(device, device.conv_policy(), *t, t->workspace); },
                    library_product(operands, t), t->result()};
          }};
}

struct AttentionTensors {
  AttentionDims dims;
  Tensor q, k, v, y, lse, dy, dq, dk, dv;

  AttentionTensors(Operands& operands, const AttentionDims& d, DType dtype)
      : dims(d), lse(operands.zeros({d.n, d.heads, d.tokens}, DType::f32)) {
    const Shape shape{d.n, d.tokens, d.channels};
    for (Tensor* input : {&q, &k, &v, &dy}) *input = operands.normal(shape, dtype);
    for (Tensor* result : {&y, &dq, &dk, &dv}) *result = operands.zeros(shape, dtype);
  }
  kernels::AttentionInputs inputs() const { return {.q = q.in(), .k = k.in(), .v = v.in()}; }
  template <class Stream>
  void forward(Stream& s) {
    kernels::attention_forward(s, dims, inputs(), y.out(), lse.out());
  }
  template <class Stream>
  void backward(Stream& s) {
    kernels::attention_backward(s, dims, inputs(), dy.in(), y.in(), lse.in(),
                                {.dq = dq.out(), .dk = dk.out(), .dv = dv.out()});
  }
};

/// Two products forward; backward five, one of them the scores' again.
Case attention_case(const Setting& setting, const Used<AttentionShape>& used, bool forward) {
  const AttentionShape& a = used.dims;
  const AttentionDims d{setting.batch, a.h * a.w, a.channels, a.heads};
  const double numbers = double(d.n) * d.tokens * d.channels, product = 2 * numbers * d.tokens;
  return {"attention",
          forward ? "attention_forward" : "attention_backward",
          cat(d.n, "x", d.tokens, "x", d.channels, ", ", d.heads, d.heads == 1 ? " head" : " heads"),
          std::string(name_of(setting.dtype)),
          used.uses,
          (forward ? 2 : 5) * product,
          (forward ? 4 : 8) * numbers * double(size_of(setting.dtype)),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<AttentionTensors>(operands, d, setting.dtype);
            Device& device = operands.device();
            device.launch([&](auto& s) { t->forward(s); });  // y and lse, which backward reads
            if (forward) return {[&device, t] { device.launch([&](auto& s) { t->forward(s); }); }, {}, {}};
            return {[&device, t] { device.launch([&](auto& s) { t->backward(s); }); }, {}, {}};
          }};
}

}  // namespace

void run_pass(Device& device, kernels::ConvPolicy& policy, ProductTensors& t, Tensor& workspace) {
  device.launch([&](auto& s) {
    switch (t.pass) {
      case ConvPass::forward:
        return kernels::linear_forward(s, policy, t.dims,
                                       {.x = t.x.in(),
                                        .w = t.w.in(),
                                        .bias = t.bias.in(),
                                        .y = t.y.out(),
                                        .workspace = workspace.out()});
      case ConvPass::backward_data:
        return kernels::linear_backward_data(
            s, policy, t.dims,
            {.dy = t.y.in(), .w = t.w.in(), .dx = t.x.out(), .workspace = workspace.out()});
      case ConvPass::backward_weights:
        return kernels::linear_backward_weights(s, policy, t.dims,
                                                {.dy = t.y.in(),
                                                 .x = t.x.in(),
                                                 .dw = t.w.out(),
                                                 .dbias = t.bias.out(),
                                                 .workspace = workspace.out()});
    }
  });
}

Cases product_cases(const Setting& setting, const std::vector<Used<LinearDims>>& products) {
  Cases cases;
  for (const NamedPass& pass : kPasses)
    for (const auto& used : products) cases.push_back(product_case(setting, used, pass));
  return cases;
}

Cases attention_cases(const Setting& setting, const std::vector<Used<AttentionShape>>& attentions) {
  Cases cases;
  for (bool forward : {true, false})
    for (const auto& used : attentions) cases.push_back(attention_case(setting, used, forward));
  return cases;
}

}  // namespace ito::bench
