#include <algorithm>
#include <set>

#include "kernel_arrays.h"
#include "kernels/activation.h"
#include "kernels/base/philox.h"
#include "kernels/base/vector_math.h"
#include "kernels/random_fill.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

/// The distance between neighbouring floats at `value`'s size.
double ulp(double value) { return std::ldexp(1.0, std::max(std::ilogb(value), -126) - 23); }

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};

Moments moments(const std::vector<float>& z) {
  Moments m;
  for (const float v : z) m.mean += v;
  m.mean /= double(z.size());
  double second = 0, third = 0, fourth = 0;
  for (const float v : z) {
    const double d = v - m.mean;
    second += d * d, third += d * d * d, fourth += d * d * d * d;
  }
  const double n = double(z.size());
  m.variance = second / n, m.skewness = third / n / std::pow(second / n, 1.5);
  m.kurtosis = fourth / n / (second / n * second / n);
  return m;
}

}  // namespace

TEST_CASE("Philox4x32-10 gives the published numbers") {
  // From the kat_vectors of Random123.
  const auto check = [](Philox4 counter, uint32_t k0, uint32_t k1, Philox4 expected) {
    const Philox4 r = philox4x32_10(counter, k0, k1);
    for (int i = 0; i < 4; ++i) CHECK(r.v[i] == expected.v[i]);
  };
  check({{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}});
  check({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}});
  check({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
        {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}});
}

TEST_CASE("uniform numbers lie strictly between 0 and 1") {
  CHECK(uniform_open(0) > 0);
  CHECK(uniform_open(0) == 0x1p-24f);
  CHECK(uniform_open(0xffffffffu) == 1 - 0x1p-24f);
  CHECK(uniform_open(0x80000000u) > 0.5f);
  CHECK(uniform_open(0x7fffffffu) < 0.5f);
  CHECK(uniform_double(0xffffffffu, 0xffffffffu) < 1);
  CHECK(uniform_double(0, 0) > 0);
}

TEST_CASE("a stream in runs is the stream one by one, wherever a run begins") {
  const RandomKey key{0x123456789abcdef0u, Purpose::diffusion_noise, 7, 3};
  std::vector<float> all(3000), part(1234), uniform(777);
  fill_normal(key, 0, 3000, all.data());
  for (int block = 0; block < 750; ++block) {
    float z[4];
    normal_block(key, uint32_t(block), z);
    for (int k = 0; k < 4; ++k) CHECK(std::abs(all[4 * block + k] - z[k]) <= 2 * ulp(4));
  }
  for (const int begin : {0, 1, 2, 3, 5, 254, 1001}) {
    fill_normal(key, begin, 1234, part.data());
    CHECK(std::equal(part.begin(), part.end(), all.begin() + begin));
  }
  fill_uniform(key, 9, 777, uniform.data());
  for (int i = 0; i < 777; ++i)
    CHECK(uniform[i] == uniform_open(random_block(key, uint32_t(9 + i) / 4).v[(9 + i) % 4]));
}

TEST_CASE("normal numbers are Box-Muller's, to a few ulp of the exact value") {
  double worst = 0;
  for (uint32_t i = 0; i < 200000; ++i) {
    const Philox4 r = random_block({5, Purpose::test, 0, 0}, i);
    const double u = uniform_open(r.v[0]), v = uniform_open(r.v[1]);
    float a, b;
    normal_pair(r.v[0], r.v[1], &a, &b);
    const double radius = std::sqrt(-2 * std::log(u)), angle = 2 * 3.14159265358979323846 * v;
    worst = std::max(worst, std::abs(a - radius * std::cos(angle)) / ulp(radius));
    worst = std::max(worst, std::abs(b - radius * std::sin(angle)) / ulp(radius));
  }
  MESSAGE("largest error of a normal number: ", worst, " ulp of its radius");
  CHECK(worst < 4);
  float a, b;
  for (const uint32_t bits : {0u, 0xffffffffu}) {
    normal_pair(bits, 0x40000000u, &a, &b);
    CHECK(std::isfinite(a));
    CHECK(std::isfinite(b));
  }
}

TEST_CASE("normal numbers have the moments and the distribution of N(0,1)") {
  const int n = 1 << 20;
  std::vector<float> z(n);
  fill_normal({11, Purpose::diffusion_noise, 1, 2}, 0, n, z.data());
  const Moments m = moments(z);
  const double root = std::sqrt(double(n));  // bounds: four standard errors
  CHECK(std::abs(m.mean) < 4 / root);
  CHECK(std::abs(m.variance - 1) < 4 * std::sqrt(2.0) / root);
  CHECK(std::abs(m.skewness) < 4 * std::sqrt(6.0) / root);
  CHECK(std::abs(m.kurtosis - 3) < 4 * std::sqrt(24.0) / root);
  double neighbours = 0;
  for (int i = 0; i + 1 < n; ++i) neighbours += double(z[i]) * z[i + 1];
  CHECK(std::abs(neighbours / n) < 4 / root);
  std::sort(z.begin(), z.end());
  double distance = 0;
  for (int i = 0; i < n; ++i) {
    const double cdf = 0.5 * std::erfc(-double(z[i]) / std::sqrt(2.0));
    distance = std::max({distance, std::abs(cdf - double(i) / n), std::abs(cdf - double(i + 1) / n)});
  }
  CHECK(distance * root < 1.95);  // Kolmogorov-Smirnov, level 0.001
}

TEST_CASE("streams of different seed, purpose, step or sample differ") {
  const RandomKey base{1, Purpose::test, 2, 3};
  std::set<uint32_t> first{random_block(base, 0).v[0]};
  first.insert(random_block({2, Purpose::test, 2, 3}, 0).v[0]);
  first.insert(random_block({1ull << 32 | 1, Purpose::test, 2, 3}, 0).v[0]);
  first.insert(random_block({1, Purpose::prior, 2, 3}, 0).v[0]);
  first.insert(random_block({1, Purpose::test, 3, 3}, 0).v[0]);
  first.insert(random_block({1, Purpose::test, 2, 4}, 0).v[0]);
  first.insert(random_block(base, 1).v[0]);
  CHECK(first.size() == 7);
}

TEST_CASE("permuted_index is a permutation, another one each epoch and seed") {
  for (const uint64_t count : {1, 2, 3, 10, 1000}) {
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t x = permuted_index(9, 4, i, count);
      CHECK(x < count);
      seen.insert(x);
    }
    CHECK(seen.size() == count);
  }
  const uint64_t images = 202599;
  std::vector<bool> seen(images);
  size_t distinct = 0, same_epoch = 0, same_seed = 0, in_place = 0;
  for (uint64_t i = 0; i < images; ++i) {
    const uint64_t x = permuted_index(1, 0, i, images);
    REQUIRE(x < images);
    distinct += !seen[x], seen[x] = true;
    if (i >= 20000) continue;
    same_epoch += x == permuted_index(1, 1, i, images);
    same_seed += x == permuted_index(2, 0, i, images);
    in_place += x == i;
  }
  CHECK(distinct == images);
  CHECK(same_epoch < 5);  // expected 0.1
  CHECK(same_seed < 5);
  CHECK(in_place < 5);
}

TEST_CASE("bf16 rounds to nearest, ties to even, and keeps NaN, infinity and sign") {
  const auto bits = [](float value) { return bf16(value).bits; };
  CHECK(bits(1.0f) == 0x3f80);
  CHECK(bits(1 + 0x1p-8f) == 0x3f80);      // halfway: even below
  CHECK(bits(1 + 3 * 0x1p-8f) == 0x3f82);  // halfway: even above
  CHECK(bits(1 + 0x1p-8f + 0x1p-20f) == 0x3f81);
  CHECK(bits(-0.0f) == 0x8000);
  CHECK(bits(3.4e38f) == 0x7f80);  // beyond the largest: infinity
  CHECK(bits(-INFINITY) == 0xff80);
  CHECK(std::isnan(float(bf16(NAN))));
  float quiet;
  const uint32_t low_nan = 0x7f800001u;  // all payload in the bits that are cut off
  std::memcpy(&quiet, &low_nan, 4);
  CHECK(std::isnan(float(bf16(quiet))));
  for (uint32_t u = 0; u < 0x10000u; ++u) {
    bf16 b;
    b.bits = uint16_t(u);
    const float f = float(b);
    if (!std::isnan(f)) CHECK(bf16(f).bits == u);
  }
}

TEST_CASE("exp_clamped is within 1 ulp of e^x on [-87, 88], log_of within 1 on all normal numbers") {
  double worst_exp = 0, worst_log = 0;
  const auto try_exp = [&](float x) {
    const double exact = std::exp(double(x));
    worst_exp = std::max(worst_exp, std::abs(exp_clamped(x) - exact) / ulp(exact));
  };
  const auto try_log = [&](float x) {
    const double exact = std::log(double(x));
    if (exact != 0) worst_log = std::max(worst_log, std::abs(log_of(x) - exact) / ulp(exact));
  };
  for (int32_t bits = 0; bits < 0x7f800000; bits += 1009) {  // one in a thousand, every exponent
    const float x = float_of_bits(bits);
    if (x <= 88) try_exp(x);
    if (x <= 87) try_exp(-x);
    if (bits >= 0x00800000) try_log(x);
  }
  for (int i = -87 * 8192; i <= 88 * 8192; ++i) try_exp(float(i) / 8192);
  for (int i = 1; i < 1 << 21; ++i) try_log((float(i) - 0.5f) * 0x1p-21f);  // what Box-Muller asks for
  MESSAGE("largest error: exp_clamped ", worst_exp, " ulp, log_of ", worst_log, " ulp");
  CHECK(worst_exp < 1.0);
  CHECK(worst_log < 1.0);
  CHECK(exp_clamped(0.0f) == 1.0f);
  CHECK(log_of(1.0f) == 0.0f);
  CHECK(exp_clamped(INFINITY) == exp_clamped(88.0f));
  CHECK(exp_clamped(-INFINITY) == exp_clamped(-87.0f));
  CHECK(exp_clamped(-87.0f) > 0x1p-126f);
  CHECK(std::isnan(activate<Activation::silu>(NAN)));
  CHECK(std::isnan(activation_slope<Activation::silu>(NAN)));
}

TEST_CASE("SiLU is within 3 ulp above -87 and vanishes below") {
  double worst = 0;
  for (int i = -87 * 8192; i <= 200 * 8192; ++i) {
    const float v = float(i) / 8192 + 1e-4f;
    const double exact = double(v) / (1 + std::exp(-double(v)));
    worst = std::max(worst, std::abs(activate<Activation::silu>(v) - exact) / ulp(exact));
  }
  MESSAGE("largest error of SiLU: ", worst, " ulp");
  CHECK(worst < 3);
  for (const float v : {-87.0f, -100.0f, -200.0f}) CHECK(std::abs(activate<Activation::silu>(v)) < 1e-35);
}

TEST_CASE("cos_sin_of_turns is within 1.5 ulp of the larger") {
  double worst = 0;
  for (int i = 0; i <= 1 << 22; ++i) {
    const float turns = float(i) * 0x1p-22f;
    float c, s;
    cos_sin_of_turns(turns, &c, &s);
    const double angle = 2 * 3.14159265358979323846 * double(turns);
    const double unit = ulp(0.75);
    worst = std::max({worst, std::abs(c - std::cos(angle)) / unit, std::abs(s - std::sin(angle)) / unit});
  }
  MESSAGE("largest error: ", worst, " ulp");
  CHECK(worst < 1.5);
  for (int quarter = 0; quarter <= 4; ++quarter) {
    float c, s;
    cos_sin_of_turns(float(quarter) / 4, &c, &s);
    CHECK(c == (quarter % 2 ? 0.0f : quarter == 2 ? -1.0f : 1.0f));
    CHECK(s == (quarter % 2 == 0 ? 0.0f : quarter == 3 ? -1.0f : 1.0f));
  }
}
