#include <algorithm>

#include "bench/kernel_case.h"
#include "kernels/pointwise.h"
#include "kernels/random_fill.h"

namespace ito::bench {

namespace {

constexpr int64_t kNumbers = int64_t(1) << 20;

}  // namespace

Operands::Operands(Device& device)
    : device_(device), f32_(zeros({kNumbers}, DType::f32)), bf16_(zeros({kNumbers}, DType::bf16)) {
  std::vector<float> numbers(kNumbers);
  kernels::fill_normal({1, Purpose::test, 0, 0}, 0, kNumbers, numbers.data());
  std::vector<bf16> rounded;
  for (float x : numbers) rounded.emplace_back(x);
  device.copy(f32_.data(), numbers.data(), f32_.bytes());
  device.copy(bf16_.data(), rounded.data(), bf16_.bytes());
  device.synchronize();
}

Tensor Operands::normal(const Shape& shape, DType dtype) {
  Tensor result = zeros(shape, dtype);
  const Tensor& source = dtype == DType::bf16 ? bf16_ : f32_;
  for (size_t at = 0; at < result.bytes(); at += source.bytes())
    device_.copy(static_cast<std::byte*>(result.data()) + at, source.data(),
                 std::min(source.bytes(), result.bytes() - at));
  return result;
}

Tensor Operands::workspace(size_t bytes) {
  return bytes ? zeros({int64_t((bytes + 3) / 4)}, DType::f32) : Tensor{};
}

}  // namespace ito::bench
