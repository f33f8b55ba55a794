#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/op_evaluation.h"

/// Every row of op_cases: f64 against finite differences; f32 and bf16 against f64; from memory filled with
/// NaN; twice, bit-equal; on any number of threads, bit-equal.
namespace ito::tests {
namespace {

/// On a CPU of its own.
Evaluation evaluate(const OpCase& c, const Numbers& numbers, DType dtype) {
  Device device;
  return evaluate(device, c, numbers, dtype);
}

double loss_of(const OpCase& c, const Numbers& numbers) {
  Device device;
  engine::NoGrad off(device);
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < numbers.size(); ++i)
    inputs.push_back(Tensor::from(device, c.inputs[i], DType::f64, numbers[i].data()));
  const Tensor y = c.apply(inputs);
  const std::vector<double> values = y.to_doubles(), cotangent = random_numbers(99, y.count(), 0, true);
  double loss = 0;
  for (size_t i = 0; i < values.size(); ++i) loss += values[i] * cotangent[i];
  return loss;
}

TEST_CASE("f64 gradients agree with finite differences") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Numbers numbers = inputs_of(c, false);
    const Evaluation e = evaluate(c, numbers, DType::f64);
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (!flag(c.smooth, i, true)) continue;
      CAPTURE(i);
      const double scale = std::max(largest(e.gradients[i]), 1.0);
      const size_t count = numbers[i].size(), stride = std::max<size_t>(1, count / 12);
      for (size_t k = 0; k < count; k += stride) {
        const double h = 1e-5;
        Numbers moved = numbers;
        moved[i][k] += h;
        const double above = loss_of(c, moved);
        moved[i][k] -= 2 * h;
        const double difference = (above - loss_of(c, moved)) / (2 * h);
        CHECK(std::abs(difference - e.gradients[i][k]) < 1e-6 * scale);
      }
    }
  }
}

TEST_CASE("f32 agrees with f64") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Numbers numbers = inputs_of(c, false);
    const Evaluation want = evaluate(c, numbers, DType::f64), got = evaluate(c, numbers, DType::f32);
    CHECK(distance(got.y, want.y) < tolerance(c, 0x1p-24));
    for (size_t i = 0; i < numbers.size(); ++i) {
      CAPTURE(i);
      CHECK(distance(got.gradients[i], want.gradients[i]) < tolerance(c, 0x1p-24));
    }
  }
}

TEST_CASE("bf16 agrees with f64 on the same rounded numbers") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Numbers numbers = inputs_of(c, true);
    const Evaluation want = evaluate(c, numbers, DType::f64), got = evaluate(c, numbers, DType::bf16);
    // Operands are exact; results are rounded once (2^-9), a composed backward pass a few times.
    CHECK(distance(got.y, want.y) < 3 * 0x1p-8);
    for (size_t i = 0; i < numbers.size(); ++i) {
      CAPTURE(i);
      CHECK(distance(got.gradients[i], want.gradients[i]) < 4 * 0x1p-8);
    }
  }
}

TEST_CASE("two runs are equal bit for bit") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    for (DType dtype : {DType::f32, DType::bf16}) {
      const Numbers numbers = inputs_of(c, dtype == DType::bf16);
      const Evaluation a = evaluate(c, numbers, dtype), b = evaluate(c, numbers, dtype);
      CHECK(a.y == b.y);
      CHECK(a.gradients == b.gradients);
    }
  }
}

TEST_CASE("any number of threads gives the same bits") {
  for (DType dtype : {DType::f32, DType::bf16}) {
    std::vector<Evaluation> want;
    for (int threads : {1, 2, 3, 5}) {
      CAPTURE(threads);
      Device device({threads, engine::Backend::cpu});
      for (size_t i = 0; i < op_cases().size(); ++i) {
        const OpCase& c = op_cases()[i];
        CAPTURE(c.name);
        const Evaluation got = evaluate(device, c, inputs_of(c, dtype == DType::bf16), dtype);
        if (threads == 1) want.push_back(got);
        CHECK(bool(got.y == want[i].y));
        CHECK(bool(got.gradients == want[i].gradients));
      }
    }
  }
}

TEST_CASE("ops refuse shapes that do not fit, and name them") {
  Device device;
  const auto zeros = [&](const Shape& s) { return Tensor::persistent(device, s, DType::f32); };
  const auto says = [](auto&& call, const char* part) {
    try {
      call();
    } catch (const Error& e) {
      return std::string(e.what()).find(part) != std::string::npos;
    }
    return false;
  };
  CHECK(says(
      [&] {
        engine::conv2d(zeros({1, 4, 4, 3}), zeros({8, 3, 3, 4}), {}, 1, engine::Padding::same(3));
      },
      "[8,3,3,4]"));
  CHECK(says(
      [&] {
        engine::group_norm(zeros({1, 4, 4, 6}), zeros({6}), zeros({6}), 4, 1e-5f, engine::Activation::none);
      },
      "4 groups"));
  const auto modulated = [&](const Tensor& modulation) {
    engine::group_norm(zeros({2, 4, 4, 6}), zeros({6}), zeros({6}), 3, 1e-5f, engine::Activation::none,
                       modulation);
  };
  CHECK(says([&] { modulated(zeros({2, 6})); }, "modulation is [2,6], expected [2,12]"));
  CHECK(says([&] { engine::linear(zeros({2, 3}), zeros({4, 5}), {}); }, "[2,3]"));
  CHECK(says([&] { engine::attention(zeros({1, 4, 6}), zeros({1, 4, 6}), zeros({1, 4, 6}), 4); }, "4 heads"));
  CHECK(says([&] { engine::add(zeros({2, 3}), zeros({3, 2})); }, "[3,2]"));
  CHECK(says([&] { engine::box_down(zeros({1, 3, 4, 1})); }, "even"));
  CHECK(says([&] { engine::join({}); }, "nothing to join"));
  CHECK(says([&] { engine::join({zeros({1, 3, 4, 1}), zeros({1, 4, 3, 1})}); }, "[1,4,3,1]"));
  const auto pooled = [&](engine::Window window, int stride, engine::Padding padding) {
    engine::pool(zeros({1, 3, 4, 2}), engine::Pooling::mean, window, stride, padding);
  };
  CHECK(says([&] { pooled({4, 4}, 1, {}); }, "windows of 4x4, stride 1"));
  CHECK(says([&] { pooled({3, 3}, 0, {}); }, "do not fit [1,3,4,2]"));
  CHECK(says([&] { pooled({1, 3}, 1, {1, 0, 0, 0}); }, "a padding less than its window"));
}

}  // namespace
}  // namespace ito::tests
