#include "kernels/squared_error.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor squared_error(const Tensor& y, const Tensor& target, const Tensor& weight, Tensor per_sample) {
  const int n = int(y.shape()[0]);
  const int64_t elements = y.count() / n;
  expect_shape("squared_error", "target", target, y.shape());
  expect_shape("squared_error", "weight", weight, {n});
  expect_accumulator("squared_error", "target", target, y.dtype());
  expect_accumulator("squared_error", "weight", weight, y.dtype());
  Device& device = y.device();
  if (!per_sample.defined()) per_sample = like(weight);
  Tensor total(device, {1}, weight.dtype());
  const auto operands = [=] {
    return kernels::SquaredErrorOperands{.y = y.in(), .target = target.in(), .weight = weight.in()};
  };
  device.launch([&](auto& s) {
    kernels::squared_error_forward(s, n, elements, operands(), per_sample.out(), total.out());
  });
  const auto gradients = [=](const Tensor& dtotal, const Wanted&) -> Gradients {
    Tensor dy = like(y);
    dtotal.device().launch(
        [&](auto& s) { kernels::squared_error_backward(s, n, elements, dtotal.in(), operands(), dy.out()); });
    return {dy};
  };
  return device.tape().record("squared_error", total, {y}, gradients);
}

}  // namespace ito::engine
