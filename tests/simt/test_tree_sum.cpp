#include <doctest/doctest.h>

#include <limits>

#include "kernels/tree_sum.h"
#include "tests/simt/compare.h"
#include "tests/tree_reference.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using tests::tree_sums, tests::tried_parts;

namespace {

std::vector<float> summands(int parts, int64_t stride) {
  std::vector<float> values = simt::normals<float>(size_t(parts * stride), 1);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::ldexp(values[i], int(i % 9));  // so that orders differ
  return values;
}

/// Numbers between the parts are NaN.
std::vector<float> run(int parts, int64_t stride, int64_t count, size_t offset = 0) {
  CudaStream stream;
  std::vector<float> values = summands(parts, stride);
  for (size_t i = 0; i < values.size(); ++i)
    if (int64_t(i) % stride >= count) values[i] = std::nan("");
  DeviceArray<float> from(stream, values, offset), to(stream, size_t(count), offset);
  tree_sum(stream, parts, stride, count, from.data(), to.data());
  return to.read();
}

}  // namespace

TEST_CASE("tree_sum is the recursive tree, bit for bit, in packs and singly, under every schedule") {
  for (const int parts : tried_parts())
    for (const int64_t stride : {8, 11}) {
      CAPTURE(parts);
      CAPTURE(stride);
      const int64_t count = 7;  // of packs, one that is cut off
      const auto got = simt::under_all_schedules([&] { return run(parts, stride, count); });
      CHECK(simt::same_bits(got, tree_sums(summands(parts, stride), parts, stride, count)));
    }
}

TEST_CASE("tree_sum of more numbers than a block takes") {
  for (const int64_t stride : {5 * 1024 + 4, 5 * 1024 + 3})
    for (const int parts : {1, 3, 8, 18}) {
      CAPTURE(parts);
      const int64_t count = stride - 2;
      const auto got = simt::under_all_schedules([&] { return run(parts, stride, count); });
      CHECK(simt::same_bits(got, tree_sums(summands(parts, stride), parts, stride, count)));
    }
}

TEST_CASE("tree_sum: any one operand off the alignment of 16 bytes") {
  const std::vector<float> aligned = run(13, 36, 35);
  simt::with_each_array_unaligned([&] { CHECK(simt::same_bits(run(13, 36, 35), aligned)); });
}

TEST_CASE("tree_sum keeps -0, infinity and NaN") {
  CudaStream stream;
  const auto sum_of = [&](const std::vector<float>& values) {
    DeviceArray<float> from(stream, values), to(stream, 1);
    tree_sum(stream, int(values.size()), 1, 1, from.data(), to.data());
    return to.read()[0];
  };
  const float infinity = std::numeric_limits<float>::infinity();
  for (const int parts : {1, 2, 7, 8, 9, 21}) {
    CAPTURE(parts);
    CHECK(std::signbit(sum_of(std::vector<float>(size_t(parts), -0.f))));
    for (int at = 0; at < parts; ++at) {
      std::vector<float> values(size_t(parts), 1.f);
      values[size_t(at)] = infinity;
      CHECK(sum_of(values) == infinity);
      values[size_t(parts - 1)] = -infinity;
      if (at < parts - 1) CHECK(std::isnan(sum_of(values)));
      values[size_t(at)] = std::nan("");
      CHECK(std::isnan(sum_of(values)));
    }
  }
}

TEST_CASE("the sum may be written to any of the parts") {
  CudaStream stream;
  for (const int parts : {1, 4, 19})
    for (const int64_t count : {1003, 1004})
      for (int at = 0; at < parts; at += 3) {
        const std::vector<float> values = summands(parts, count);
        const auto got = simt::under_all_schedules([&] {
          DeviceArray<float> from(stream, values);
          tree_sum(stream, parts, count, count, from.data(), from.data() + at * count);
          return from.read();
        });
        std::vector<float> want = values;
        const std::vector<float> sums = tree_sums(values, parts, count, count);
        std::copy(sums.begin(), sums.end(), want.begin() + at * count);
        CHECK(simt::same_bits(got, want));
      }
}

TEST_CASE("tree_sum refuses what the CPU refuses; no numbers are no launch") {
  CudaStream stream;
  CHECK_THROWS_WITH(tree_sum(stream, 0, 1, 1, nullptr, nullptr), "tree_sum: 0 parts; there may be 1 to 1024");
  CHECK_THROWS_AS(tree_sum(stream, 1025, 1, 1, nullptr, nullptr), ito::Error);
  CHECK_THROWS_AS(tree_sum(stream, 2, 3, 4, nullptr, nullptr), ito::Error);
  CHECK_THROWS_AS(tree_sum(stream, 1, 1, -1, nullptr, nullptr), ito::Error);
  CHECK_NOTHROW(tree_sum(stream, 2, 0, 0, nullptr, nullptr));
  stream.synchronize();
}
