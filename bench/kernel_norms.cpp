#include "bench/kernel_cases.h"
#include "kernels/group_norm.h"
#include "kernels/pointwise.h"
#include "kernels/scale_shift.h"

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
    const Shape affine = d.affine_per_sample ? Shape{d.n, d.c()} : Shape{d.c()};
    for (Tensor* t : {&gamma, &beta}) *t = operands.normal(affine, DType::f32);
    for (Tensor* t : {&dgamma, &dbeta}) *t = operands.zeros(affine, DType::f32);
    for (Tensor* t : {&mean, &rstd}) *t = operands.zeros({d.n, d.groups}, DType::f32);
    if (!d.affine_per_sample) partial = operands.zeros({int64_t(group_norm_partial_floats(d))}, DType::f32);
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

/// Gamma, beta and a modulation, what they make together for each sample, and all gradients.
struct ScaleShiftTensors {
  kernels::ScaleShiftDims d;
  Tensor gamma, beta, modulation, scale, shift, dscale, dshift, dgamma, dbeta, dmodulation;

  ScaleShiftTensors(Operands& operands, const kernels::ScaleShiftDims& d, DType dtype) : d(d) {
    for (Tensor* t : {&gamma, &beta}) *t = operands.normal({d.c}, DType::f32);
    for (Tensor* t : {&dgamma, &dbeta}) *t = operands.zeros({d.c}, DType::f32);
    for (Tensor* t : {&scale, &shift}) *t = operands.zeros({d.n, d.c}, DType::f32);
    for (Tensor* t : {&dscale, &dshift}) *t = operands.normal({d.n, d.c}, DType::f32);
    modulation = operands.normal({d.n, 2 * d.c}, dtype), dmodulation = operands.zeros({d.n, 2 * d.c}, dtype);
  }
  kernels::ScaleShiftInputs inputs() const {
    return {.gamma = gamma.in(), .beta = beta.in(), .modulation = modulation.in()};
  }
  template <class Stream>
  void forward(Stream& s) {
    kernels::scale_shift_forward(s, d, inputs(), scale.out(), shift.out());
  }
  template <class Stream>
  void backward(Stream& s) {
    kernels::scale_shift_backward(
        s, d, inputs(), dscale.in(), dshift.in(),
        {.dgamma = dgamma.out(), .dbeta = dbeta.out(), .dmodulation = dmodulation.out()});
  }
};

GroupNormDims norm_dims(const Setting& setting, const NormShape& n) {
  return {setting.batch,
          n.h * n.w,
          n.c1,
          n.c2,
          setting.network.groups,
          setting.network.norm_eps,
          setting.network.activation};
}

/// x in, y out; backward dy and x in, dx out. Parameters and statistics are small compared with them.
Case norm_head(const Setting& setting, const Used<NormShape>& used, const std::string& name, bool forward) {
  const NormShape& n = used.dims;
  const GroupNormDims d = norm_dims(setting, n);
  const std::string channels = n.c2 ? cat("(", n.c1, "+", n.c2, ")") : cat(n.c1);
  return {"group norm",
          name,
          cat(d.n, "x", n.h, "x", n.w, "x", channels),
          std::string(name_of(setting.dtype)),
          used.uses,
          0,
          (forward ? 2.0 : 3.0) * d.n * double(d.hw) * d.c() * double(size_of(setting.dtype)),
          {}};
}

Case norm_case(const Setting& setting, const Used<NormShape>& used, bool forward) {
  Case result = norm_head(setting, used, forward ? "group_norm_forward" : "group_norm_backward", forward);
  result.prepare = [d = norm_dims(setting, used.dims), dtype = setting.dtype,
                    forward](Operands& operands) -> PreparedCase {
    const auto t = std::make_shared<NormTensors>(operands, d, dtype);
    Device& device = operands.device();
    device.launch([&](auto& s) { t->forward_unfused(s); });  // what backward reads
    if (forward)
      return {[&device, t] { device.launch([&](auto& s) { t->forward(s, t->fused, t->y); }); },
              {"group_norm, activation",
               [&device, t] { device.launch([&](auto& s) { t->forward_unfused(s); }); }},
              t->y};
    return {
        [&device, t] { device.launch([&](auto& s) { t->backward(s, t->fused, t->dy); }); },
        {"activation, group_norm", [&device, t] { device.launch([&](auto& s) { t->backward_unfused(s); }); }},
        t->dx};
  };
  return result;
}

/// The same with a scale and shift of each sample: two launches.
Case modulated_case(const Setting& setting, const NormShape& shape, bool forward) {
  Case result =
      norm_head(setting, {shape, 0}, forward ? "modulated_norm_forward" : "modulated_norm_backward", forward);
  GroupNormDims d = norm_dims(setting, shape);
  d.affine_per_sample = true;
  result.prepare = [d, dtype = setting.dtype, forward](Operands& operands) -> PreparedCase {
    const auto norm = std::make_shared<NormTensors>(operands, d, dtype);
    const auto map =
        std::make_shared<ScaleShiftTensors>(operands, kernels::ScaleShiftDims{d.n, d.c()}, dtype);
    norm->gamma = map->scale, norm->beta = map->shift, norm->dgamma = map->dscale, norm->dbeta = map->dshift;
    Device& device = operands.device();
    const Runnable ahead = [&device, norm, map] {
      device.launch([&](auto& s) { map->forward(s), norm->forward(s, norm->fused, norm->y); });
    };
    if (forward) return {ahead, {}, {}};
    ahead();  // what backward reads
    return {[&device, norm, map] {
              device.launch([&](auto& s) { norm->backward(s, norm->fused, norm->dy), map->backward(s); });
            },
            {},
            {}};
  };
  return result;
}

/// Of the widest level. Forward reads the modulation and writes scale and shift in f32; backward reads their gradients
/// and half of the modulation, and writes its gradient.
Case scale_shift_case(const Setting& setting, bool forward) {
  const kernels::ScaleShiftDims d{setting.batch, setting.network.block_channels.back()};
  const double element = double(size_of(setting.dtype)), pairs = double(d.n) * d.c;
  return {"group norm",
          forward ? "scale_shift_forward" : "scale_shift_backward",
          cat(d.n, "x", d.c),
          std::string(name_of(setting.dtype)),
          0,
          0,
          forward ? pairs * (2 * element + 8) + 8 * d.c : pairs * (3 * element + 8) + 16 * d.c,
          [=, dtype = setting.dtype](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<ScaleShiftTensors>(operands, d, dtype);
            Device& device = operands.device();
            return {[&device, t, forward] {
                      device.launch([&](auto& s) { forward ? t->forward(s) : t->backward(s); });
                    },
                    {},
                    {}};
          }};
}

}  // namespace

Cases norm_cases(const Setting& setting, const std::vector<Used<NormShape>>& norms) {
  Cases cases;
  for (bool forward : {true, false})
    for (const auto& used : norms) cases.push_back(norm_case(setting, used, forward));
  for (bool forward : {true, false}) {
    if (!norms.empty()) cases.push_back(modulated_case(setting, norms.front().dims, forward));
    cases.push_back(scale_shift_case(setting, forward));
  }
  return cases;
}

}  // namespace ito::bench
