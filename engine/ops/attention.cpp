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
  check_attention(d);
  Device& device = q.device();
  Tensor y = like(q), lse(device, {d.n, heads, d.tokens}, kernels::accumulator_dtype(q.dtype()));
  const auto inputs = [=] { return kernels::AttentionInputs{.q = q.in(), .k = k.in(), .v = v.in()}; };
  device.launch([&](auto& s) { kernels::attention_forward(s, d, inputs(), y.out(), lse.out()); });
  device.recorder().flops += 4.0 * d.n * d.tokens * double(d.tokens) * d.channels;
  return device.tape().record("attention", y, {q, k, v}, [=](const Tensor& dy, const Wanted&) -> Gradients {
    Tensor dq = like(q), dk = like(k), dv = like(v);
    dy.device().launch([&](auto& s) {
      kernels::attention_backward(s, d, inputs(), dy.in(), y.in(), lse.in(),
                                  {.dq = dq.out(), .dk = dk.out(), .dv = dv.out()});
    });
    return {dq, dk, dv};
  });
}

}  // namespace ito::engine
