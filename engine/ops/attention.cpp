#include "kernels/attention.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, int heads) {
  expect_rank("attention", "q", q, 3);
  expect_shape("attention", "k", k, q.shape());
  expect_shape("attention", "v", v, q.shape());
  const kernels::AttentionDims d{int(q.shape()[0]), int(q.shape()[1]), int(q.shape()[2]), heads};
  if (heads < 1 || d.channels % heads)
    fail(cat("attention: ", heads, " heads do not divide ", d.channels, " channels"));
  Device& device = q.device();
  Tensor y = like(q), lse(device, {d.n, heads, d.tokens}, kernels::wide(q.dtype()));
  device.launch(
      [&](auto& s) { kernels::attention_forward(s, d, q.in(), k.in(), v.in(), y.out(), lse.out()); });
  device.recorder().flops += 4.0 * d.n * d.tokens * double(d.tokens) * d.channels;
  return device.tape().record("attention", y, {q, k, v}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dq = like(q), dk = like(k), dv = like(v);
    dy.device().launch([&](auto& s) {
      kernels::attention_backward(s, d, dy.in(), q.in(), k.in(), v.in(), y.in(), lse.in(), dq.out(), dk.out(),
                                  dv.out());
    });
    return {dq, dk, dv};
  });
}

}  // namespace ito::engine
