#include "kernels/pseudo_huber.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/squared_error.h"

namespace ito::engine {

Tensor pseudo_huber(const Tensor& y, const Tensor& target, const Tensor& scale, const Tensor& weight,
                    double c) {
  const int n = int(y.shape()[0]);
  const int64_t elements = y.count() / n;
  expect_shape("pseudo_huber", "target", target, y.shape());
  expect_shape("pseudo_huber", "scale", scale, {n});
  expect_shape("pseudo_huber", "weight", weight, {n});
  expect_accumulator("pseudo_huber", "target", target, y.dtype());
  expect_accumulator("pseudo_huber", "scale", scale, y.dtype());
  expect_accumulator("pseudo_huber", "weight", weight, y.dtype());
  Device& device = y.device();
  Tensor squares = like(scale), slope = like(scale);  // [N]
  Tensor total(device, {1}, weight.dtype());
  const auto operands = [=](const Tensor& by) {
    return kernels::SquaredErrorOperands{.y = y.in(), .target = target.in(), .weight = by.in()};
  };
  device.launch([&](auto& s) {
    kernels::squared_error_forward(s, n, elements, operands(scale), squares.out(), total.out());
    kernels::pseudo_huber(s, n, c, {.squares = squares.in(), .scale = scale.in(), .weight = weight.in()},
                          slope.out(), total.out());
  });
  const auto gradients = [=](const Tensor& dtotal, const Wanted&) -> Gradients {
    Tensor dy = like(y);
    dtotal.device().launch([&](auto& s) {
      kernels::squared_error_backward(s, n, elements, dtotal.in(), operands(slope), dy.out());
    });
    return {dy};
  };
  return device.tape().record("pseudo_huber", total, {y}, gradients);
}

}  // namespace ito::engine
