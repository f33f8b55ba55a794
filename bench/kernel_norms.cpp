#include "bench/kernel_cases.h"
#include "kernels/group_norm.h"
#include "kernels/pointwise.h"

namespace ito::bench {

namespace {

using kernels::Activation;
using kernels::GroupNormDims;

/// Group norm and activation in one kernel, and in two with a tensor between them.
struct NormTensors {
  GroupNormDims fused, plain;  // plain: without the activation
  Tensor x, x2, gamma, beta, mean, rstd, y, normalised;
  Tensor dy, dnormalised, dx, dx2, dgamma, dbeta, partial;

  NormTensors(Operands& operands, const GroupNormDims& d, DType dtype) : fused(d), plain(d) {
    plain.activation = Activation::none;
    const auto shape = [&](int channels) { return Shape{d.n, d.hw, channels}; };
    x = operands.normal(shape(d.c1), dtype), dx = operands.zeros(shape(d.c1), dtype);
    if (d.c2) x2 = operands.normal(shape(d.c2), dtype), dx2 = operands.zeros(shape(d.c2), dtype);
    dy = operands.normal(shape(d.c()), dtype);
    for (Tensor* t : {&y, &normalised, &dnormalised}) *t = operands.zeros(shape(d.c()), dtype);
    for (Tensor* t : {&gamma, &beta}) *t = operands.normal({d.c()}, DType::f32);
    for (Tensor* t : {&dgamma, &dbeta}) *t = operands.zeros({d.c()}, DType::f32);
    for (Tensor* t : {&mean, &rstd}) *t = operands.zeros({d.n, d.groups}, DType::f32);
    partial = operands.zeros({int64_t(group_norm_partial_floats(d))}, DType::f32);
  }
  kernels::GroupNormInputs inputs() const {
    return {.x = x.in(), .x2 = x2.in(), .gamma = gamma.in(), .beta = beta.in()};
  }
  template <class Stream>
  void forward(Stream& s, const GroupNormDims& d, Tensor& result) {
    kernels::group_norm_forward(s, d, inputs(), result.out(), mean.out(), rstd.out());
  }
  template <class Stream>
  void forward_unfused(Stream& s) {
    forward(s, plain, normalised);
    kernels::activation_forward(s, y.count(), fused.activation, normalised.in(), y.out());
  }
  template <class Stream>
  void backward(Stream& s, const GroupNormDims& d, const Tensor& gradient) {
    kernels::group_norm_backward(
        s, d, inputs(), gradient.in(), mean.in(), rstd.in(),
        {.dx = dx.out(), .dx2 = dx2.out(), .dgamma = dgamma.out(), .dbeta = dbeta.out()}, partial.out());
  }
  template <class Stream>
  void backward_unfused(Stream& s) {
    kernels::activation_backward(s, y.count(), fused.activation, dy.in(), normalised.in(), dnormalised.out());
    backward(s, plain, dnormalised);
  }
};

/// x in, y out; backward dy and x in, dx out. Parameters and statistics are small compared with them.
Case norm_case(const Setting& setting, const Used<NormShape>& used, bool forward) {
  const NormShape& n = used.dims;
  const GroupNormDims d{setting.batch,
                        n.h * n.w,
                        n.c1,
                        n.c2,
                        setting.network.groups,
                        setting.network.norm_eps,
                        setting.network.activation};
  const std::string channels = n.c2 ? cat("(", n.c1, "+", n.c2, ")") : cat(n.c1);
  return {"group norm",
          forward ? "group_norm_forward" : "group_norm_backward",
          cat(d.n, "x", n.h, "x", n.w, "x", channels),
          std::string(name_of(setting.dtype)),
          used.uses,
          0,
          (forward ? 2.0 : 3.0) * d.n * double(d.hw) * d.c() * double(size_of(setting.dtype)),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<NormTensors>(operands, d, setting.dtype);
            Device& device = operands.device();
            device.launch([&](auto& s) { t->forward_unfused(s); });  // what backward reads
            if (forward)
              return {[&device, t] { device.launch([&](auto& s) { t->forward(s, t->fused, t->y); }); },
                      {"group_norm, activation",
                       [&device, t] { device.launch([&](auto& s) { t->forward_unfused(s); }); }},
                      t->y};
            return {[&device, t] { device.launch([&](auto& s) { t->backward(s, t->fused, t->dy); }); },
                    {"activation, group_norm",
                     [&device, t] { device.launch([&](auto& s) { t->backward_unfused(s); }); }},
                    t->dx};
          }};
}

}  // namespace

Cases norm_cases(const Setting& setting, const std::vector<Used<NormShape>>& norms) {
  Cases cases;
  for (bool forward : {true, false})
    for (const auto& used : norms) cases.push_back(norm_case(setting, used, forward));
  return cases;
}

}  // namespace ito::bench
