#include "kernels/gaussian_nll.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/squared_error.h"

namespace ito::engine {

Tensor gaussian_nll(const Tensor& y, const Tensor& target, const Tensor& weight, const Tensor& u,
                    double share, Tensor plain) {
  const int n = int(y.shape()[0]);
  const int64_t elements = y.count() / n;
  expect_shape("gaussian_nll", "target", target, y.shape());
  expect_shape("gaussian_nll", "weight", weight, {n});
  expect_shape("gaussian_nll", "u", u, {n});
  expect_accumulator("gaussian_nll", "target", target, y.dtype());
  expect_accumulator("gaussian_nll", "weight", weight, y.dtype());
  expect_accumulator("gaussian_nll", "u", u, y.dtype());
  Device& device = y.device();
  Tensor scaled = like(weight), losses = like(weight);  // [N]
  Tensor total(device, {1}, weight.dtype());
  if (!plain.defined()) plain = like(total);
  const auto operands = [=] {
    return kernels::SquaredErrorOperands{.y = y.in(), .target = target.in(), .weight = scaled.in()};
  };
  device.launch([&](auto& s) {
    kernels::gaussian_nll_weights(s, n, weight.in(), u.in(), scaled.out());
    kernels::squared_error_forward(s, n, elements, operands(), losses.out(), total.out());
    kernels::gaussian_nll_total(s, n, share, losses.in(), u.in(), total.out(), plain.out());
  });
  const auto gradients = [=](const Tensor& dtotal, const Wanted& wanted) -> Gradients {
    Tensor dy = like_if(wanted[0], y), du = like_if(wanted[1], u);
    dtotal.device().launch([&](auto& s) {
      if (dy.defined()) kernels::squared_error_backward(s, n, elements, dtotal.in(), operands(), dy.out());
      if (du.defined()) kernels::gaussian_nll_backward(s, n, share, dtotal.in(), losses.in(), du.out());
    });
    return {dy, du};
  };
  return device.tape().record("gaussian_nll", total, {y, u}, gradients);
}

}  // namespace ito::engine
