#include <doctest/doctest.h>

#include "kernels/dropout.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

template <class T>
void check(int n, size_t per_sample, float p, size_t offset = 0) {
  CAPTURE(n);
  CAPTURE(per_sample);
  CAPTURE(p);
  CudaStream stream;
  CpuStream cpu(1);
  const std::vector<T> x = simt::normals<T>(size_t(n) * per_sample, 1);
  const uint32_t step = 17;
  DeviceArray<T> from(stream, x, offset);
  DeviceArray<uint32_t> steps(stream, std::vector<uint32_t>{step});
  const auto y = simt::under_all_schedules([&] {
    DeviceArray<T> to(stream, x.size(), offset);
    dropout(stream, n, int64_t(per_sample), p, {99, 5, 100, steps.data()}, from.in(), to.out());
    return to.read();
  });
  // The integers and the uniform numbers are the CPU's, and so is the arithmetic: one product.
  std::vector<T> expected(x.size());
  dropout(cpu, n, int64_t(per_sample), p, {99, 5, 100, &step}, {x.data(), dtype_of<T>::value},
          {expected.data(), dtype_of<T>::value});
  CHECK(simt::same_bits(y, expected));
  DeviceArray<T> alone(stream, per_sample, offset);  // the last sample alone
  const T* const last = from.data() + size_t(n - 1) * per_sample;
  dropout(stream, 1, int64_t(per_sample), p, {99, 5, 100 + uint32_t(n) - 1, steps.data()},
          {last, dtype_of<T>::value}, alone.out());
  CHECK(simt::same_bits(alone.read(), {y.end() - ptrdiff_t(per_sample), y.end()}));
}

}  // namespace

TEST_CASE_TEMPLATE("dropout gives the CPU's bits", T, float, bf16) {
  check<T>(1, 1, 0.5f);
  check<T>(3, 1027, 0.3f);
  check<T>(2, 2048, 0.3f);
  check<T>(2, 64, 0.1f, 1);  // unaligned
  check<T>(2, 64, 0);
  simt::with_each_array_unaligned([] { check<T>(2, 64, 0.1f); });
}

TEST_CASE("dropout refuses f64, wrong probabilities and layers") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const uint32_t step = 0;
  const Out x{&value, DType::f64}, y{&single, DType::f32};
  CHECK_THROWS_WITH(dropout(stream, 1, 1, 0.5f, {1, 0, 0, &step}, x, x),
                    "dropout: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(dropout(stream, 1, 1, 1, {1, 0, 0, &step}, y, y), ito::Error);
  CHECK_THROWS_AS(dropout(stream, 1, 1, 0.5f, {1, 4096, 0, &step}, y, y), ito::Error);
}
