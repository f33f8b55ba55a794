#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "kernels/sde_update.h"
#include "tests/simt/device_array.h"

using namespace ito::kernels;
using simt::DeviceArray;

namespace {

std::vector<float> normals(size_t count, uint32_t sample) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = float(random_normal({7, Purpose::test, 0, sample}, uint32_t(i)));
  return values;
}

struct Case {
  SdeUpdateDims dims;
  SdeCoefficients k;
  size_t offset = 0;  // elements off the alignment of 16 bytes
  bool in_place = false;
};

template <class Next>
struct Result {
  std::vector<float> x;
  std::vector<Next> next;
};

std::vector<uint64_t> seeds_of(int n) {
  std::vector<uint64_t> seeds;
  for (int i = 0; i < n; ++i) seeds.push_back(0x9000000000000000u + uint64_t(i) * 0x100000001u);
  return seeds;
}

template <class Next>
Result<Next> run(const Case& c, const std::vector<float>& x, const std::vector<float> (&f)[kMaxSdeTerms],
                 const simt::Schedule& schedule) {
  simt::machine().set_schedule(schedule);
  CudaStream stream;
  DeviceArray<float> from(stream, x, c.offset), to(stream, x.size(), c.offset);
  DeviceArray<Next> next(stream, x.size(), c.offset);
  DeviceArray<uint64_t> seeds(stream, seeds_of(c.dims.n));
  std::unique_ptr<DeviceArray<float>> terms[kMaxSdeTerms];
  In operands[kMaxSdeTerms];
  for (int k = 0; k < c.dims.terms; ++k) {
    terms[k] = std::make_unique<DeviceArray<float>>(stream, f[k], c.offset);
    operands[k] = terms[k]->in();
  }
  DeviceArray<float>& out = c.in_place ? from : to;
  sde_update(stream, c.dims, c.k, from.in(), operands, seeds.data(), out.out(), next.out());
  if (!c.in_place) CHECK(simt::same_bits(from.read(), x));
  return {out.read(), next.read()};
}

template <class Next>
void check_case(const Case& c) {
  CAPTURE(c.dims.n);
  CAPTURE(c.dims.per_image);
  CAPTURE(c.dims.terms);
  CAPTURE(c.offset);
  const size_t count = size_t(c.dims.n) * size_t(c.dims.per_image);
  const auto x = normals(count, 0);
  const std::vector<float> f[kMaxSdeTerms] = {normals(count, 1), normals(count, 2), normals(count, 3)};
  const auto first = run<Next>(c, x, f, {});
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    const auto again = run<Next>(c, x, f, schedule);
    CHECK(simt::same_bits(again.x, first.x));
    CHECK(simt::same_bits(again.next, first.next));
  }
  const auto seeds = seeds_of(c.dims.n);
  int wrong = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t image = i / size_t(c.dims.per_image), e = i % size_t(c.dims.per_image);
    float z[4];
    normal_block({seeds[image], c.dims.purpose, c.dims.step, 0}, uint32_t(e / 4), z);
    double sum = double(c.k.a) * x[i] + double(c.k.c) * z[e % 4];
    double magnitude = std::abs(double(c.k.a) * x[i]) + std::abs(double(c.k.c) * z[e % 4]);
    for (int k = 0; k < c.dims.terms; ++k) {
      sum += double(c.k.b[k]) * f[k][i];
      magnitude += std::abs(double(c.k.b[k]) * f[k][i]);
    }
    // At most five products and four additions in f32; next_in one more product, and one more rounding to its
    // own type.
    const double tolerance = 6 * std::ldexp(1.0, -24) * magnitude;
    const double next = double(c.k.next_scale) * first.x[i];
    const double next_tolerance = std::ldexp(1.01, sizeof(Next) == 2 ? -8 : -24) * std::abs(next);
    wrong += !(std::abs(first.x[i] - sum) <= tolerance);
    wrong += !(std::abs(double(float(first.next[i])) - next) <= next_tolerance);
  }
  CHECK(wrong == 0);
}

const SdeCoefficients kAll{0.75f, {0.5f, -1.25f, 0.3f}, 0.6f, 0.9f};

}  // namespace

TEST_CASE("sde_update agrees with f64") {
  for (const auto& [n, d] : {std::pair{1, 1}, {2, 7}, {3, 64}, {2, 1027}, {1, 4100}})
    for (int terms = 0; terms <= kMaxSdeTerms; ++terms) {
      check_case<float>({{n, d, terms, Purpose::sampler_noise, 5}, kAll});
      check_case<bf16>({{n, d, terms, Purpose::sampler_noise, 6}, kAll});
    }
  check_case<bf16>({{2, 64, 2, Purpose::sampler_noise, 7}, kAll, 1});         // nothing is aligned
  check_case<float>({{2, 64, 2, Purpose::sampler_noise, 7}, kAll, 0, true});  // in place
  check_case<float>({{2, 65, 2, Purpose::sampler_noise, 7}, kAll, 0, true});
  SdeCoefficients no_noise = kAll;
  no_noise.c = 0;
  check_case<float>({{2, 64, 2, Purpose::sampler_noise, 7}, no_noise});
}

TEST_CASE("the noise is normal_block's, bit for bit, whatever the batch") {
  CudaStream stream;
  const int d = 1029, n = 3;
  const SdeCoefficients noise{0, {0, 0, 0}, 1, 1};
  const In none[kMaxSdeTerms] = {};
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    DeviceArray<float> x(stream, std::vector<float>(size_t(n * d), 0.0f)), out(stream, size_t(n * d)),
        one(stream, d);
    DeviceArray<uint64_t> seeds(stream, seeds_of(n));
    sde_update(stream, {n, d, 0, Purpose::prior, 9}, noise, x.in(), none, seeds.data(), out.out(), {});
    sde_update(stream, {1, d, 0, Purpose::prior, 9}, noise, x.in(), none, seeds.data() + 2, one.out(), {});
    const auto all = out.read(), last = one.read();
    std::vector<float> expected;
    for (const uint64_t seed : seeds_of(n))
      for (int e = 0; e < d; e += 4) {
        float z[4];
        normal_block({seed, Purpose::prior, 9, 0}, uint32_t(e / 4), z);
        for (int i = 0; i < 4 && e + i < d; ++i) expected.push_back(z[i]);
      }
    CHECK(simt::same_bits(all, expected));
    CHECK(simt::same_bits(last, {expected.end() - d, expected.end()}));
  }
}

TEST_CASE("sde_update refuses what it cannot do") {
  CudaStream stream;
  const In none[kMaxSdeTerms] = {};
  double wide = 0;
  float x = 0;
  const In x64{&wide, DType::f64}, x32{&x, DType::f32};
  const Out out{&x, DType::f32};
  CHECK_THROWS_WITH(sde_update(stream, {1, 1, 0, Purpose::test, 0}, {}, x64, none, nullptr, out, {}),
                    "sde_update: f64 exists on the CPU only; on CUDA use f32");
  CHECK_THROWS_WITH(sde_update(stream, {1, 1, 1, Purpose::test, 0}, {}, x32, none, nullptr, out, {}),
                    "sde_update: term 0 of 1 is missing");
  CHECK_THROWS_WITH(sde_update(stream, {1, 1, 0, Purpose::test, 0}, kAll, x32, none, nullptr, out, {}),
                    "sde_update: noise (c != 0) needs a seed for each image");
  CHECK_THROWS_AS(sde_update(stream, {0, 1, 0, Purpose::test, 0}, {}, x32, none, nullptr, out, {}),
                  ito::Error);
}
