#include "engine/device.h"
#include "engine/ops.h"
#include "engine/ops/check.h"
#include "kernels/copy_channels.h"

namespace ito::engine {

Tensor join(const std::vector<Tensor>& parts) {
  if (parts.empty()) fail("join: there is nothing to join");
  expect_rank("join", "the first part", parts[0], 4);
  const Shape a = parts[0].shape();
  int64_t channels = 0;
  for (const Tensor& part : parts) {
    expect_rank("join", "a part", part, 4);
    expect_shape("join", "a part", part, {a[0], a[1], a[2], part.shape()[3]});
    expect_dtype("join", "a part", part, parts[0].dtype());
    channels += part.shape()[3];
  }
  Device& device = parts[0].device();
  const int n = int(a[0]), hw = int(a[1] * a[2]), all = int(channels);
  Tensor y(device, {a[0], a[1], a[2], channels}, parts[0].dtype());
  std::vector<int> counts;
  for (int first = 0; const Tensor& part : parts) {
    const int count = int(part.shape()[3]);
    device.launch([&](auto& s) {
      kernels::copy_channels(s, n, hw, count, {count, 0}, part.in(), {all, first}, y.out());
    });
    counts.push_back(count), first += count;
  }
  return device.tape().record("join", y, parts, [=](const Tensor& dy, const Wanted& wanted) -> Gradients {
    Gradients gradients;
    for (int first = 0; const int count : counts) {
      Tensor dx;
      if (wanted[gradients.size()]) {
        dx = Tensor(dy.device(), {a[0], a[1], a[2], count}, dy.dtype());
        dy.device().launch([&](auto& s) {
          kernels::copy_channels(s, n, hw, count, {all, first}, dy.in(), {count, 0}, dx.out());
        });
      }
      gradients.push_back(dx), first += count;
    }
    return gradients;
  });
}

}  // namespace ito::engine
