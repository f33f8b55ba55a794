#include "kernels/group_norm.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/scale_shift.h"

namespace ito::engine {

using kernels::GroupNormDims;

namespace {

GroupNormDims group_norm_dims(const Concat& x, const Tensor& gamma, const Tensor& beta, int groups, float eps,
                              Activation act, const Tensor& modulation) {
  expect_rank("group_norm", "x", x.first, 4);
  const Shape& a = x.first.shape();
  const int64_t c2 = x.second.defined() ? x.second.shape()[3] : 0, c = a[3] + c2;
  if (c2) {
    expect_shape("group_norm", "x's second source", x.second, {a[0], a[1], a[2], c2});
    expect_dtype("group_norm", "x's second source", x.second, x.first.dtype());
  }
  expect_shape("group_norm", "gamma", gamma, {c});
  expect_shape("group_norm", "beta", beta, {c});
  expect_accumulator("group_norm", "gamma", gamma, x.first.dtype());
  if (modulation.defined()) {
    expect_shape("group_norm", "modulation", modulation, {a[0], 2 * c});
    expect_dtype("group_norm", "modulation", modulation, x.first.dtype());
  }
  const GroupNormDims d{int(a[0]), int(a[1] * a[2]),    int(a[3]), int(c2), groups, eps,
                        act,       modulation.defined()};
  check_group_norm(d);
  return d;
}

}  // namespace

Tensor group_norm(const Concat& x, const Tensor& gamma, const Tensor& beta, int groups, float eps,
                  Activation activation, const Tensor& modulation) {
  const GroupNormDims d = group_norm_dims(x, gamma, beta, groups, eps, activation, modulation);
  const kernels::ScaleShiftDims affine{d.n, d.c()};
  Device& device = x.first.device();
  const Shape& a = x.first.shape();
  Tensor y(device, {a[0], a[1], a[2], d.c()}, x.first.dtype());
  Tensor mean(device, {d.n, groups}, gamma.dtype()), rstd = like(mean);
  Tensor scale = gamma, shift = beta;  // what the norm is given for them
  const auto parameters = [=] {
    return kernels::ScaleShiftInputs{.gamma = gamma.in(), .beta = beta.in(), .modulation = modulation.in()};
  };
  if (d.affine_per_sample) {
    scale = Tensor(device, {d.n, d.c()}, gamma.dtype()), shift = like(scale);
    device.launch(
        [&](auto& s) { kernels::scale_shift_forward(s, affine, parameters(), scale.out(), shift.out()); });
  }
  const auto inputs = [=] {
    return kernels::GroupNormInputs{
        .x = x.first.in(), .x2 = x.second.in(), .gamma = scale.in(), .beta = shift.in()};
  };
  device.launch(
      [&](auto& s) { kernels::group_norm_forward(s, d, inputs(), y.out(), mean.out(), rstd.out()); });
  return device.tape().record(
      "group_norm", y, {x.first, x.second, gamma, beta, modulation},
      [=](const Tensor& dy, const Wanted& wanted) -> Gradients {
        Device& on = dy.device();
        const bool shared = wanted[2] || wanted[3], any = shared || wanted[4];
        Tensor dx = like_if(wanted[0], x.first), dx2 = like_if(wanted[1], x.second);
        Tensor dscale = like_if(any, scale), dshift = like_if(any, shift), partial;
        if (!d.affine_per_sample)
          partial = Tensor(on, {int64_t(group_norm_partial_floats(d))}, gamma.dtype());
        on.launch([&](auto& s) {
          kernels::group_norm_backward(
              s, d, inputs(), dy.in(), mean.in(), rstd.in(),
              {.dx = dx.out(), .dx2 = dx2.out(), .dgamma = dscale.out(), .dbeta = dshift.out()},
              partial.out());
        });
        if (!d.affine_per_sample || !any) return {dx, dx2, dscale, dshift, {}};
        Tensor dgamma = like_if(shared, gamma), dbeta = like_if(shared, beta);
        Tensor dmodulation = like_if(wanted[4], modulation);
        on.launch([&](auto& s) {
          kernels::scale_shift_backward(
              s, affine, parameters(), dscale.in(), dshift.in(),
              {.dgamma = dgamma.out(), .dbeta = dbeta.out(), .dmodulation = dmodulation.out()});
        });
        return {dx, dx2, dgamma, dbeta, dmodulation};
      });
}

}  // namespace ito::engine
