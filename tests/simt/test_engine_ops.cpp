#include <doctest/doctest.h>

#include "tests/op_evaluation.h"
#include "tests/simt/device_array.h"

/// Every row of op_cases on CUDA: f32 and bf16 against f64 on the CPU, from memory filled with NaN; twice,
/// bit-equal, under every schedule of the emulator.
namespace ito::tests {
namespace {

constexpr size_t kRoom = size_t(16) << 20;

Evaluation on_cuda(const OpCase& c, const Numbers& numbers, DType dtype) {
  Device device({1, engine::Backend::cuda});
  device.reserve(kRoom);
  return evaluate(device, c, numbers, dtype);
}

Evaluation reference(const OpCase& c, const Numbers& numbers) {
  Device device;
  return evaluate(device, c, numbers, DType::f64);
}

TEST_CASE("f32 on CUDA agrees with f64") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Numbers numbers = inputs_of(c, false);
    const Evaluation want = reference(c, numbers), got = on_cuda(c, numbers, DType::f32);
    CHECK(distance(got.y, want.y) < tolerance(c, 0x1p-24));
    for (size_t i = 0; i < numbers.size(); ++i) {
      CAPTURE(i);
      CHECK(distance(got.gradients[i], want.gradients[i]) < tolerance(c, 0x1p-24));
    }
  }
}

TEST_CASE("bf16 on CUDA agrees with f64 on the same rounded numbers") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    // Weights are rounded, too: a GPU multiplies bf16 by bf16.
    Numbers numbers = inputs_of(c, true);
    for (size_t i = 0; i < numbers.size(); ++i)
      if (c.inputs[i].rank() >= 2)
        for (double& x : numbers[i]) x = bf16_rounded(x);
    const Evaluation want = reference(c, numbers), got = on_cuda(c, numbers, DType::bf16);
    CHECK(distance(got.y, want.y) < 3 * 0x1p-8);
    for (size_t i = 0; i < numbers.size(); ++i) {
      CAPTURE(i);
      CHECK(distance(got.gradients[i], want.gradients[i]) < 4 * 0x1p-8);
    }
  }
}

TEST_CASE("two runs on CUDA are equal bit for bit, whatever the schedule") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    for (DType dtype : {DType::f32, DType::bf16}) {
      const Numbers numbers = inputs_of(c, dtype == DType::bf16);
      Evaluation first;
      for (const simt::Schedule& schedule : simt::all_schedules()) {
        simt::machine().set_schedule(schedule);
        const Evaluation e = on_cuda(c, numbers, dtype);
        if (first.y.empty()) first = e;
        CHECK(e.y == first.y);
        CHECK(e.gradients == first.gradients);
      }
    }
  }
}

TEST_CASE("with the libraries, and with whichever is faster, convolutions and products stay right") {
  using kernels::Provider;
  for (Provider conv : {Provider::library, Provider::fastest})
    for (const OpCase& c : op_cases()) {
      if (c.name.rfind("conv2d", 0) && c.name.rfind("linear", 0)) continue;
      CAPTURE(c.name);
      const Numbers numbers = inputs_of(c, false);
      Device device({1, engine::Backend::cuda, conv});
      device.reserve(kRoom);
      const Evaluation want = reference(c, numbers), got = evaluate(device, c, numbers, DType::f32);
      CHECK(distance(got.y, want.y) < tolerance(c, 0x1p-24));
      for (size_t i = 0; i < numbers.size(); ++i) {
        CAPTURE(i);
        CHECK(distance(got.gradients[i], want.gradients[i]) < tolerance(c, 0x1p-24));
      }
#if defined(ITO_SIMT)  // where the libraries always answer
      CHECK((device.conv_policy().plan.size() == 0) ==
            (conv == Provider::library || c.name.find("right and bottom") != std::string::npos));
#endif
    }
}

}  // namespace
}  // namespace ito::tests
