#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/base/philox.h"
#include "kernels/tree_sum.h"
#include "tests/helpers.h"
#include "tests/tree_reference.h"

using namespace ito;
using namespace ito::kernels;
using tests::error_of, tests::tree_sums, tests::tried_parts;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(),
                kInfinity = std::numeric_limits<float>::infinity();

/// Normal numbers of magnitudes that differ, so that another order of summing has other bits; NaN between the parts.
std::vector<float> summands(int parts, int64_t stride, int64_t count) {
  std::vector<float> values(size_t(parts * stride), kNaN);
  for (int p = 0; p < parts; ++p)
    for (int64_t i = 0; i < count; ++i)
      values[size_t(p * stride + i)] =
          std::ldexp(random_normal({3, Purpose::test, 0, uint32_t(p)}, uint32_t(i)), int((p + i) % 9));
  return values;
}

std::vector<float> sum_of(const std::vector<float>& from, int parts, int64_t stride, int64_t count,
                          int threads = 1) {
  CpuStream stream(threads);
  std::vector<float> to(size_t(count), kNaN);
  tree_sum(stream, parts, stride, count, from.data(), to.data());
  return to;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("tree_sum is the recursive tree, bit for bit, and near the sum in f64") {
  for (const int parts : tried_parts())
    for (const int64_t count : {1, 259}) {
      CAPTURE(parts);
      CAPTURE(count);
      const int64_t stride = count + 3;
      const std::vector<float> from = summands(parts, stride, count),
                               got = sum_of(from, parts, stride, count);
      CHECK(same_bits(got, tree_sums(from, parts, stride, count)));
      const std::vector<double> want = tree_sums<double>(from, parts, stride, count);
      int wrong = 0;
      for (int64_t i = 0; i < count; ++i) {
        double magnitude = 0;
        for (int p = 0; p < parts; ++p) magnitude += std::abs(double(from[size_t(p * stride + i)]));
        // A summand passes through at most this many roundings, one a level.
        const double bound = std::ceil(std::log2(parts)) * 0x1p-24 * magnitude * (1 + 1e-6);
        wrong += !(std::abs(double(got[size_t(i)]) - want[size_t(i)]) <= bound);
      }
      CHECK(wrong == 0);
    }
}

TEST_CASE("tree_sum has the same bits for any number of threads, and each piece its own numbers") {
  const int parts = 5;
  const int64_t count = 3 * 16384 + 37;
  const std::vector<float> from = summands(parts, count, count), want = tree_sums(from, parts, count, count);
  CHECK(same_bits(sum_of(from, parts, count, count, 1), want));
  CHECK(same_bits(sum_of(from, parts, count, count, 2), want));
}

TEST_CASE("the tree over 2^a 2^b parts is the tree over 2^a sums of 2^b neighbours") {
  const int64_t count = 33;
  for (int levels = 0; levels <= 10; ++levels) {
    const int parts = 1 << levels;
    const std::vector<float> from = summands(parts, count, count), whole = sum_of(from, parts, count, count);
    for (int below = 0; below <= levels; ++below) {
      CAPTURE(levels);
      CAPTURE(below);
      const int groups = parts >> below, size = 1 << below;
      std::vector<float> sums;
      for (int g = 0; g < groups; ++g) {
        const auto first = from.begin() + g * size * count;
        const std::vector<float> one = sum_of({first, first + size * count}, size, count, count);
        sums.insert(sums.end(), one.begin(), one.end());
      }
      CHECK(same_bits(sum_of(sums, groups, count, count), whole));
    }
  }
}

TEST_CASE("tree_sum keeps -0, infinity and NaN") {
  for (const int parts : {1, 2, 3, 7, 8, 9, 21}) {
    CAPTURE(parts);
    std::vector<float> zeros(size_t(parts), -0.f);
    CHECK(std::signbit(sum_of(zeros, parts, 1, 1)[0]));
    for (int at = 0; at < parts; ++at) {
      std::vector<float> from = summands(parts, 1, 1);
      from[size_t(at)] = kInfinity;
      CHECK(sum_of(from, parts, 1, 1)[0] == kInfinity);
      from[size_t(parts - 1)] = -kInfinity;
      if (at < parts - 1) CHECK(std::isnan(sum_of(from, parts, 1, 1)[0]));
      from = summands(parts, 1, 1);
      from[size_t(at)] = kNaN;
      CHECK(std::isnan(sum_of(from, parts, 1, 1)[0]));
    }
  }
}

TEST_CASE("the sum may be written to any of the parts") {
  CpuStream stream(2);
  for (const int parts : {1, 4, 7})
    for (int at = 0; at < parts; ++at) {
      const int64_t count = 16384 + 300;
      std::vector<float> from = summands(parts, count, count);
      const std::vector<float> want = sum_of(from, parts, count, count);
      float* const to = from.data() + at * count;
      tree_sum(stream, parts, count, count, from.data(), to);
      CHECK(same_bits({to, to + count}, want));
    }
}

TEST_CASE("what tree_sum refuses") {
  CpuStream stream(1);
  std::vector<float> data(8);
  const auto error = [&](int parts, int64_t stride, int64_t count) {
    return error_of([&] { tree_sum(stream, parts, stride, count, data.data(), data.data()); });
  };
  CHECK(error(0, 1, 1) == "tree_sum: 0 parts; there may be 1 to 1024");
  CHECK(error(1025, 1, 1) == "tree_sum: 1025 parts; there may be 1 to 1024");
  CHECK(error(2, 4, -1) == "tree_sum: -1 numbers; there may be none, and no fewer");
  CHECK(error(2, 3, 4) == "tree_sum: parts of 4 numbers overlap where one begins 3 behind the other");
  CHECK(error(2, 4, 4).empty());
  CHECK(error(1, 0, 8).empty());
  CHECK(error(3, 0, 0).empty());
}
