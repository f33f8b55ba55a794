#include <doctest/doctest.h>

#include "kernels/pool.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;

namespace {

size_t count_x(const PoolDims& d) { return size_t(d.n) * d.h * d.w * d.c; }
size_t count_y(const PoolDims& d) { return size_t(d.n) * d.out_h() * d.out_w() * d.c; }

template <class T>
void check(const PoolDims& d, size_t offset = 0) {
  CAPTURE(d.h);
  CAPTURE(d.c);
  CAPTURE(offset);
  CudaStream stream;
  CpuStream cpu(1);
  std::vector<T> x = simt::normals<T>(count_x(d), 1, 1.5);
  for (T& v : x) v = T(std::round(float(v)));  // so that maxima are shared
  const std::vector<T> dy = simt::normals<T>(count_y(d), 2);
  DeviceArray<T> from(stream, x, offset), gradient(stream, dy, offset);
  F64Array x_f64(x), dy_f64(dy), y_f64(dy.size()), dx_f64(x.size());
  // A mean's or gradient's sum of r s numbers of size 4 at most, in f32.
  const double absolute = 16 * std::sqrt(double(d.r * d.s)) * simt::rounding<float>();
  for (const Pooling kind : {Pooling::max, Pooling::mean}) {
    const bool is_max = kind == Pooling::max;
    const auto y = simt::under_all_schedules([&] {
      DeviceArray<T> to(stream, dy.size(), offset);
      pool_forward(stream, kind, d, from.in(), to.out());
      return to.read();
    });
    const auto dx = simt::under_all_schedules([&] {
      DeviceArray<T> to(stream, x.size(), offset);
      pool_backward(stream, kind, d, gradient.in(), is_max ? from.in() : In{}, to.out());
      return to.read();
    });
    pool_forward(cpu, kind, d, x_f64.in(), y_f64.out());
    pool_backward(cpu, kind, d, dy_f64.in(), x_f64.in(), dx_f64.out());
    CHECK(count_wrong(y, y_f64.v, is_max ? 0 : simt::rounding<T>(), is_max ? 0 : absolute) == 0);
    CHECK(count_wrong(dx, dx_f64.v, simt::rounding<T>(), absolute) == 0);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("pool and its gradient agree with the CPU in f64", T, float, bf16) {
  check<T>({1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0});
  check<T>({2, 5, 7, 3, 3, 3, 2, 0, 0, 0, 0});
  check<T>({2, 4, 5, 16, 3, 3, 1, 1, 1, 1, 1});
  check<T>({2, 4, 5, 16, 3, 3, 1, 1, 1, 1, 1}, 1);  // unaligned
  simt::with_each_array_unaligned([] { check<T>({1, 3, 3, 8, 2, 2, 1, 0, 0, 0, 0}); });
  check<T>({1, 9, 5, 24, 2, 3, 3, 1, 2, 0, 1});
  check<T>({2, 8, 8, 9, 8, 8, 1, 0, 0, 0, 0});
  check<T>({1, 11, 7, 72, 3, 3, 2, 0, 1, 1, 0});  // more than a block
}

TEST_CASE("a NaN is a maximum on the device, too") {
  CudaStream stream;
  const PoolDims d{1, 1, 4, 1, 1, 3, 1, 0, 1, 0, 1};
  DeviceArray<float> x(stream, std::vector<float>{1, std::nanf(""), 2, 7}),
      dy(stream, std::vector<float>(4, 1.0f));
  DeviceArray<float> y(stream, 4), dx(stream, 4);
  pool_forward(stream, Pooling::max, d, x.in(), y.out());
  pool_backward(stream, Pooling::max, d, dy.in(), x.in(), dx.out());
  const auto result = y.read();
  CHECK((std::isnan(result[0]) && std::isnan(result[1]) && std::isnan(result[2]) && result[3] == 7));
  CHECK(dx.read() == std::vector<float>{0, 3, 0, 1});
}

TEST_CASE("pooling refuses f64, windows that do not fit and images too large for its index") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const Out x{&value, DType::f64}, y{&single, DType::f32};
  const PoolDims one{1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
  CHECK_THROWS_WITH(pool_forward(stream, Pooling::max, one, x, x),
                    "pool_forward: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(pool_backward(stream, Pooling::max, one, x, x, x),
                    "pool_backward: f64 exists on the CPU only; on CUDA use f32 or bf16");
  const PoolDims unfit{1, 2, 2, 1, 3, 3, 1, 0, 0, 0, 0}, large{1, 1 << 15, 1 << 15, 4, 1, 1, 1, 0, 0, 0, 0};
  CHECK_THROWS_WITH_AS(pool_forward(stream, Pooling::mean, unfit, y, y),
                       doctest::Contains("windows of 3x3, stride 1"), ito::Error);
  CHECK_THROWS_AS(pool_backward(stream, Pooling::mean, large, y, y, y), ito::Error);
  for (const PoolDims& d : {PoolDims{1, 1 << 16, 1 << 15, 1, 1, 1, 1 << 15, 0, 0, 0, 0},
                            PoolDims{1, 1 << 15, 1, 1 << 16, 1, 1, 1 << 15, 0, 0, 0, 0}}) {
    CHECK_THROWS_WITH_AS(pool_forward(stream, Pooling::mean, d, y, y), doctest::Contains("2^31 - 1"),
                         ito::Error);
    CHECK_THROWS_WITH_AS(pool_backward(stream, Pooling::mean, d, y, y, y), doctest::Contains("2^31 - 1"),
                         ito::Error);
  }
}
