#include "kernels/group_norm.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

using kernels::GroupNormDims;

namespace {

GroupNormDims group_norm_dims(const Concat& x, const Tensor& gamma, const Tensor& beta, int groups, float eps,
                              Activation act) {
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
  const GroupNormDims d{int(a[0]), int(a[1] * a[2]), int(a[3]), int(c2), groups, eps, act};
  check_group_norm(d);
  return d;
}

}  // namespace

Tensor group_norm(const Concat& x, const Tensor& gamma, const Tensor& beta, int groups, float eps,
                  Activation activation) {
  const GroupNormDims d = group_norm_dims(x, gamma, beta, groups, eps, activation);
  Device& device = x.first.device();
  const Shape& a = x.first.shape();
  Tensor y(device, {a[0], a[1], a[2], d.c()}, x.first.dtype());
  Tensor mean(device, {d.n, groups}, gamma.dtype()), rstd = like(mean);
  const auto inputs = [=] {
    return kernels::GroupNormInputs{
        .x = x.first.in(), .x2 = x.second.in(), .gamma = gamma.in(), .beta = beta.in()};
  };
  device.launch(
      [&](auto& s) { kernels::group_norm_forward(s, d, inputs(), y.out(), mean.out(), rstd.out()); });
  return device.tape().record(
      "group_norm", y, {x.first, x.second, gamma, beta},
      [=](const Tensor& dy, const Wanted& wanted) -> Gradients {
        Tensor dx = like_if(wanted[0], x.first), dx2 = like_if(wanted[1], x.second);
        const bool affine = wanted[2] || wanted[3];
        Tensor dgamma = like_if(affine, gamma), dbeta = like_if(affine, beta);
        Tensor partial(dy.device(), {int64_t(group_norm_partial_floats(d))}, gamma.dtype());
        dy.device().launch([&](auto& s) {
          kernels::group_norm_backward(
              s, d, inputs(), dy.in(), mean.in(), rstd.in(),
              {.dx = dx.out(), .dx2 = dx2.out(), .dgamma = dgamma.out(), .dbeta = dbeta.out()},
              partial.out());
        });
        return {dx, dx2, dgamma, dbeta};
      });
}

}  // namespace ito::engine
