#include <doctest/doctest.h>

#include "kernels/pixel_shuffle.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

size_t count(const PixelShuffleDims& d) { return size_t(d.n) * d.h * d.w * d.p * d.p * d.c; }

/// The definition, as it is written there.
template <class T>
std::vector<T> unshuffled(const PixelShuffleDims& d, const std::vector<T>& large) {
  std::vector<T> small;
  for (int n = 0; n < d.n; ++n)
    for (int h = 0; h < d.h; ++h)
      for (int w = 0; w < d.w; ++w)
        for (int c = 0; c < d.c; ++c)
          for (int i = 0; i < d.p; ++i)
            for (int j = 0; j < d.p; ++j) {
              const int row = n * d.h * d.p + d.p * h + i;
              small.push_back(large[size_t((row * d.w * d.p + d.p * w + j) * d.c + c)]);
            }
  return small;
}

template <class T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void check(const PixelShuffleDims& d, size_t offset = 0) {
  CAPTURE(d.p);
  CAPTURE(d.c);
  CAPTURE(offset);
  CudaStream stream;
  CpuStream cpu(1);
  const std::vector<T> large = simt::normals<T>(count(d), 1), small = unshuffled(d, large);
  DeviceArray<T> from_large(stream, large, offset), from_small(stream, small, offset);
  CHECK(equal(small, simt::under_all_schedules([&] {
                DeviceArray<T> to(stream, count(d), offset);
                pixel_unshuffle(stream, d, from_large.in(), to.out());
                return to.read();
              })));
  CHECK(equal(large, simt::under_all_schedules([&] {
                DeviceArray<T> to(stream, count(d), offset);
                pixel_shuffle(stream, d, from_small.in(), to.out());
                return to.read();
              })));
  std::vector<T> on_cpu(count(d));
  const DType dtype = from_large.in().dtype;
  pixel_unshuffle(cpu, d, {large.data(), dtype}, {on_cpu.data(), dtype});
  CHECK(equal(on_cpu, small));
  pixel_shuffle(cpu, d, {small.data(), dtype}, {on_cpu.data(), dtype});
  CHECK(equal(on_cpu, large));
}

}  // namespace

TEST_CASE_TEMPLATE("pixel_unshuffle and pixel_shuffle follow their definition", T, float, bf16) {
  check<T>({1, 1, 1, 1, 1});
  check<T>({2, 3, 5, 3, 2});
  check<T>({2, 3, 5, 3, 2}, 1);  // unaligned
  check<T>({1, 2, 2, 5, 4});
  check<T>({3, 7, 4, 16, 2});  // more than a block
}

TEST_CASE("pixel_shuffle refuses f64 and sizes that are not positive") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const Out wide{&value, DType::f64}, y{&single, DType::f32};
  CHECK_THROWS_WITH(pixel_shuffle(stream, {1, 1, 1, 1, 1}, wide, wide),
                    doctest::Contains("f64 exists on the CPU only"));
  CHECK_THROWS_AS(pixel_unshuffle(stream, {1, 0, 1, 1, 1}, y, y), ito::Error);
  CHECK_THROWS_AS(pixel_shuffle(stream, {1, 1, 1, 1, 0}, y, y), ito::Error);
}
