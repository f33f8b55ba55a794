#include <doctest/doctest.h>

#include "kernels/resample.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;

namespace {

template <class T>
void check(int n, int h, int w, int c, size_t offset = 0) {
  CAPTURE(n);
  CAPTURE(c);
  CAPTURE(offset);
  CudaStream stream;
  CpuStream cpu(1);
  const size_t count = size_t(n) * h * w * c;
  const std::vector<T> small = simt::normals<T>(count, 1), large = simt::normals<T>(4 * count, 2);
  DeviceArray<T> from(stream, small, offset), from_large(stream, large, offset);
  F64Array small_f64(small), large_f64(large), up_f64(4 * count), down_f64(count);
  for (const float scale : {1.0f, 0.25f}) {
    const auto up = simt::under_all_schedules([&] {
      DeviceArray<T> to(stream, 4 * count, offset);
      nearest_up(stream, n, h, w, c, scale, from.in(), to.out());
      return to.read();
    });
    const auto down = simt::under_all_schedules([&] {
      DeviceArray<T> to(stream, count, offset);
      box_down(stream, n, h, w, c, scale, from_large.in(), to.out());
      return to.read();
    });
    nearest_up(cpu, n, h, w, c, scale, small_f64.in(), up_f64.out());
    box_down(cpu, n, h, w, c, scale, large_f64.in(), down_f64.out());
    CHECK(count_wrong(up, up_f64.v, 0) == 0);  // a quarter is exact
    CHECK(count_wrong(down, down_f64.v, simt::rounding<T>(), 16 * simt::rounding<float>()) == 0);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("nearest_up and box_down agree with the CPU in f64", T, float, bf16) {
  check<T>(1, 1, 1, 1);
  check<T>(2, 3, 5, 3);
  check<T>(1, 4, 2, 35);
  check<T>(2, 5, 3, 16);
  check<T>(2, 5, 3, 16, 1);  // unaligned
  simt::with_each_array_unaligned([] { check<T>(1, 2, 2, 8); });
  check<T>(1, 7, 11, 72, 0);  // more than a block
}

TEST_CASE("resampling refuses f64 and images too large for its index") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const Out x{&value, DType::f64}, y{&single, DType::f32};
  CHECK_THROWS_WITH(nearest_up(stream, 1, 1, 1, 1, 1, x, x),
                    "nearest_up: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(box_down(stream, 1, 1, 1, 1, 1, x, x),
                    "box_down: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(nearest_up(stream, 1, 1 << 15, 1 << 15, 4, 1, y, y), ito::Error);
}
