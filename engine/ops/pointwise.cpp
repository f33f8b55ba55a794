#include "kernels/pointwise.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor activate(const Tensor& x, Activation activation) {
  Tensor y = like(x);
  x.device().launch([&](auto& s) { kernels::activation_forward(s, x.count(), activation, x.in(), y.out()); });
  return x.device().tape().record("activate", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx = like(x);
    dy.device().launch(
        [&](auto& s) { kernels::activation_backward(s, x.count(), activation, dy.in(), x.in(), dx.out()); });
    return {dx};
  });
}

Tensor add(const Tensor& a, const Tensor& b, double scale) {
  expect_shape("add", "b", b, a.shape());
  expect_dtype("add", "b", b, a.dtype());
  Tensor y = like(a);
  a.device().launch(
      [&](auto& s) { kernels::add_scaled(s, a.count(), scale, a.in(), scale, b.in(), y.out()); });
  return a.device().tape().record("add", y, {a, b}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    if (scale == 1) return {dy, dy};
    Tensor dx = like(dy);
    dy.device().launch([&](auto& s) { kernels::add_scaled(s, dy.count(), scale, dy.in(), 0, {}, dx.out()); });
    return {dx, dx};
  });
}

Tensor add_channels(const Tensor& x, const Tensor& bias) {
  expect_rank("add_channels", "x", x, 4);
  const Shape& a = x.shape();
  expect_shape("add_channels", "bias", bias, {a[0], a[3]});
  expect_dtype("add_channels", "bias", bias, x.dtype());
  const int n = int(a[0]), hw = int(a[1] * a[2]), c = int(a[3]);
  Tensor y = like(x);
  x.device().launch([&](auto& s) { kernels::add_channels_forward(s, n, hw, c, x.in(), bias.in(), y.out()); });
  return x.device().tape().record(
      "add_channels", y, {x, bias}, [=](const Tensor& dy, const Wanted& wanted) -> Gradients {
        Tensor dbias = like_if(wanted[1], bias);
        if (dbias.defined())
          dy.device().launch(
              [&](auto& s) { kernels::add_channels_backward(s, n, hw, c, dy.in(), dbias.out()); });
        return {dy, dbias};
      });
}

Tensor scale_samples(const Tensor& x, const Tensor& scale) {
  const int n = int(x.shape()[0]);
  expect_shape("scale_samples", "scale", scale, {n});
  expect_accumulator("scale_samples", "scale", scale, x.dtype());
  const int64_t per_sample = x.count() / n;
  Tensor y = like(x);
  x.device().launch([&](auto& s) { kernels::scale_samples(s, n, per_sample, x.in(), scale.in(), y.out()); });
  return x.device().tape().record("scale_samples", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx = like(dy);
    dy.device().launch(
        [&](auto& s) { kernels::scale_samples(s, n, per_sample, dy.in(), scale.in(), dx.out()); });
    return {dx};
  });
}

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Shape before = x.shape();
  Tensor y = x.with_shape(shape);
  y.slot = {};
  return x.device().tape().record("reshape", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    return {dy.with_shape(before)};
  });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y(x.device(), x.shape(), dtype);
  x.device().launch([&](auto& s) { kernels::add_scaled(s, x.count(), 1, x.in(), 0, {}, y.out()); });
  const DType before = x.dtype();
  return x.device().tape().record("cast", y, {x}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dx(dy.device(), dy.shape(), before);
    dy.device().launch([&](auto& s) { kernels::add_scaled(s, dy.count(), 1, dy.in(), 0, {}, dx.out()); });
    return {dx};
  });
}

}  // namespace ito::engine
