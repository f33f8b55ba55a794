#include "kernels/linear.h"

#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"

namespace ito::engine {

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  expect_rank("linear", "w", w, 2);
  const int rank = x.shape().rank();
  if (rank < 1 || x.shape()[rank - 1] != w.shape()[1])
    fail(cat("linear: x ", x.shape().str(), " does not end in w's ", w.shape()[1], " inputs"));
  expect_wide("linear", "w", w, x.dtype());
  if (bias.defined()) expect_shape("linear", "bias", bias, {w.shape()[0]});
  const int in = int(w.shape()[1]), out = int(w.shape()[0]), m = int(x.count() / in);
  Shape shape = rank == 1   ? Shape{out}
                : rank == 2 ? Shape{m, out}
                : rank == 3 ? Shape{x.shape()[0], x.shape()[1], out}
                            : Shape{x.shape()[0], x.shape()[1], x.shape()[2], out};
  Device& device = x.device();
  Tensor y(device, shape, x.dtype());
  device.launch([&](auto& s) { kernels::linear_forward(s, m, in, out, x.in(), w.in(), bias.in(), y.out()); });
  device.count_flops(2.0 * m * in * out);
  return device.tape().record(
      "linear", y, {x, w, bias}, [=](const Tensor& dy, const Wanted& wanted) -> Gradients {
        Tensor dx = like_if(wanted[0], x), dw = like_if(wanted[1] || wanted[2], w),
               dbias = like_if(wanted[2], bias);
        dy.device().launch([&](auto& s) {
          if (dx.defined()) kernels::linear_backward_data(s, m, in, out, dy.in(), w.in(), dx.out());
          if (dw.defined())
            kernels::linear_backward_weights(s, m, in, out, dy.in(), x.in(), dw.out(), dbias.out());
        });
        return {dx, dw, dbias};
      });
}

}  // namespace ito::engine
