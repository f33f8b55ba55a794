#include <doctest/doctest.h>

#include "kernels/copy_channels.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

template <class T>
void check(int n, int hw, int count, const ChannelRange& from, const ChannelRange& to, size_t offset = 0) {
  CAPTURE(count);
  CAPTURE(offset);
  CudaStream stream;
  CpuStream cpu(1);
  const size_t pixels = size_t(n) * size_t(hw);
  const std::vector<T> x = simt::normals<T>(pixels * size_t(from.channels), 1);
  const std::vector<T> before = simt::normals<T>(pixels * size_t(to.channels), 2);
  DeviceArray<T> source(stream, x, offset);
  const auto y = simt::under_all_schedules([&] {
    DeviceArray<T> result(stream, before, offset);
    copy_channels(stream, n, hw, count, from, source.in(), to, result.out());
    return result.read();
  });
  std::vector<T> expected = before;
  copy_channels(cpu, n, hw, count, from, {x.data(), dtype_of<T>::value}, to,
                {expected.data(), dtype_of<T>::value});
  CHECK(simt::same_bits(y, expected));
}

}  // namespace

TEST_CASE_TEMPLATE("copy_channels copies what the CPU does, and leaves the rest", T, float, bf16) {
  check<T>(1, 1, 1, {1, 0}, {1, 0});
  check<T>(2, 15, 3, {7, 2}, {5, 1});
  check<T>(2, 9, 16, {16, 0}, {40, 24});     // scattered by packs
  check<T>(2, 9, 16, {40, 24}, {16, 0});     // gathered by packs
  check<T>(2, 9, 16, {40, 24}, {16, 0}, 1);  // unaligned
  check<T>(1, 77, 8, {8, 0}, {20, 12});      // packs would not start where they must
  check<T>(2, 300, 8, {24, 8}, {16, 8});     // more than a block
  // One number alone is no whole packs.
  check<T>(2, 4, 12, {16, 0}, {16, 0}), check<T>(2, 4, 6, {8, 0}, {8, 0}),
      check<T>(2, 3, 8, {20, 8}, {16, 8}), check<T>(2, 3, 8, {24, 4}, {16, 8});
  check<T>(2, 3, 8, {16, 8}, {20, 8}), check<T>(2, 3, 8, {16, 8}, {24, 4});
  simt::with_each_array_unaligned([] { check<T>(1, 3, 8, {16, 8}, {24, 16}); });
}

TEST_CASE("copy_channels refuses f64, ranges that do not fit and images too large for its index") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const Out x{&value, DType::f64}, y{&single, DType::f32};
  CHECK_THROWS_WITH(copy_channels(stream, 1, 1, 1, {1, 0}, x, {1, 0}, x),
                    "copy_channels: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(copy_channels(stream, 1, 1, 3, {5, 0}, y, {4, 2}, y),
                    "copy_channels: 3 channels from 2 on do not fit an image of 4");
  CHECK_THROWS_AS(copy_channels(stream, 1, 1 << 30, 4, {4, 0}, y, {4, 0}, y), ito::Error);
}
