#include <doctest/doctest.h>

#include "kernels/squared_error.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;
using simt::rounding;

namespace {

template <class T>
void check(int n, size_t per_sample, size_t offset = 0) {
  CAPTURE(n);
  CAPTURE(per_sample);
  CAPTURE(offset);
  CudaStream stream;
  const std::vector<T> y = simt::normals<T>(size_t(n) * per_sample, 1);
  const std::vector<float> t = simt::normals<float>(y.size(), 2), up{0.25f};
  std::vector<float> w;
  for (int i = 0; i < n; ++i) w.push_back(0.5f + 0.3f * float(i));
  DeviceArray<T> ys(stream, y, offset);
  DeviceArray<float> target(stream, t, offset), weight(stream, w), dtotal(stream, up);
  const SquaredErrorOperands operands{.y = ys.in(), .target = target.in(), .weight = weight.in()};
  const auto losses = simt::under_all_schedules([&] {
    DeviceArray<float> loss(stream, size_t(n)), total(stream, 1);
    squared_error_forward(stream, n, int64_t(per_sample), operands, loss.out(), total.out());
    std::vector<float> all = loss.read();
    all.push_back(total.read()[0]);
    return all;
  });
  const auto dy = simt::under_all_schedules([&] {
    DeviceArray<T> to(stream, y.size(), offset);
    squared_error_backward(stream, n, int64_t(per_sample), dtotal.in(), operands, to.out());
    return to.read();
  });
  CpuStream cpu(1);
  F64Array y_f64(y), t_f64(t), w_f64(w), up_f64(up), expected(size_t(n) + 1), dy_f64(y.size());
  const SquaredErrorOperands in_f64{.y = y_f64.in(), .target = t_f64.in(), .weight = w_f64.in()};
  squared_error_forward(cpu, n, int64_t(per_sample), in_f64, expected.out(),
                        {&expected.v[size_t(n)], DType::f64});
  squared_error_backward(cpu, n, int64_t(per_sample), up_f64.in(), in_f64, dy_f64.out());
  // Sums are in f64, so only results round, the total a second time.
  CHECK(count_wrong(losses, expected.v, 2 * rounding<float>()) == 0);
  for (int i = 0; i < n; ++i)
    CHECK(std::abs(losses[size_t(i)] - expected.v[size_t(i)]) <= rounding<float>() * expected.v[size_t(i)]);
  CHECK(count_wrong(dy, dy_f64.v, rounding<T>() + 3 * rounding<float>()) == 0);
  DeviceArray<float> alone(stream, 1), alone_total(stream, 1);  // the last sample alone
  const size_t start = size_t(n - 1) * per_sample;
  const SquaredErrorOperands last{.y = {ys.data() + start, dtype_of<T>::value},
                                  .target = {target.data() + start, DType::f32},
                                  .weight = {weight.data() + n - 1, DType::f32}};
  squared_error_forward(stream, 1, int64_t(per_sample), last, alone.out(), alone_total.out());
  CHECK(alone.read()[0] == losses[size_t(n) - 1]);
}

}  // namespace

TEST_CASE_TEMPLATE("squared_error and its gradient agree with the CPU in f64", T, float, bf16) {
  check<T>(1, 1);
  check<T>(3, 777);
  check<T>(2, 4096);
  check<T>(2, 64, 1);  // unaligned
  check<T>(600, 4);    // more samples than the total's block has threads
  simt::with_each_array_unaligned([] { check<T>(2, 64); });
}

TEST_CASE("squared_error's sums are wider than f32") {
  CudaStream stream;
  // 1e4^2 once, then ones, each of which is less than half a unit in the last place of an f32 sum.
  std::vector<float> y(4096, 1.0f);
  y[0] = 1e4f;
  DeviceArray<float> ys(stream, y), target(stream, std::vector<float>(4096, 0.0f)),
      weight(stream, std::vector<float>{1}), loss(stream, 1), total(stream, 1);
  const SquaredErrorOperands operands{.y = ys.in(), .target = target.in(), .weight = weight.in()};
  squared_error_forward(stream, 1, 4096, operands, loss.out(), total.out());
  CHECK(loss.read()[0] == float(1e8 + 4095));
  CHECK(total.read()[0] == float(1e8 + 4095));
}

TEST_CASE("the total of the samples' losses is wider than f32") {
  CudaStream stream;
  const int n = 4000;
  std::vector<float> y(size_t(n), 1.0f), zeros(size_t(n), 0.0f);
  y[0] = 1e4f;  // 1e8, and 3,999 ones, each less than half a unit in the last place of an f32 sum
  DeviceArray<float> ys(stream, y), target(stream, zeros),
      weight(stream, std::vector<float>(size_t(n), 1.0f)), loss(stream, size_t(n)), total(stream, 1);
  squared_error_forward(stream, n, 1, {.y = ys.in(), .target = target.in(), .weight = weight.in()},
                        loss.out(), total.out());
  CHECK(total.read()[0] == float(1e8 + 3999));
}

TEST_CASE("squared_error refuses f64") {
  CudaStream stream;
  double value = 0;
  const Out x{&value, DType::f64};
  const SquaredErrorOperands operands{.y = x, .target = x, .weight = x};
  CHECK_THROWS_WITH(squared_error_forward(stream, 1, 1, operands, x, x),
                    "squared_error: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(squared_error_backward(stream, 1, 1, x, operands, x),
                    "squared_error: f64 exists on the CPU only; on CUDA use f32 or bf16");
}
