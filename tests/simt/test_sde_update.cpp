#include <doctest/doctest.h>

#include <cmath>

#include "kernels/sde_update.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::F64Array;
using simt::normals;

namespace {

constexpr double kRounding = 1.0 / (1 << 24);  // f32's

struct Case {
  SdeUpdateDims dims;
  SdeStep step;
  bool prior = false;     // no start and no f
  size_t offset = 0;      // elements off the alignment of 16 bytes
  bool in_place = false;  // x' replaces start, which is where the network was asked
};

std::vector<uint64_t> seeds_of(int n) {
  std::vector<uint64_t> seeds;
  for (int i = 0; i < n; ++i) seeds.push_back(0x9000000000000000u + uint64_t(i) * 0x100000001u);
  return seeds;
}

/// What a case is given, f rounded to its type.
template <class F>
struct Given {
  std::vector<float> start, x, d1, d2;
  std::vector<F> f;
  explicit Given(const Case& c) {
    const size_t count = size_t(c.dims.n) * size_t(c.dims.per_image);
    start = normals<float>(c.prior ? 0 : count, 0), x = c.in_place ? start : normals<float>(start.size(), 1);
    d1 = normals<float>(c.dims.history > 0 ? count : 0, 2);
    d2 = normals<float>(c.dims.history > 1 ? count : 0, 3);
    f = normals<F>(start.size() * (c.dims.guided ? 2 : 1), 4);
  }
};

template <class Next>
struct Result {
  std::vector<float> x, denoised, c_noise;
  std::vector<Next> next;
  bool operator==(const Result& r) const {
    using simt::same_bits;
    return same_bits(x, r.x) && same_bits(denoised, r.denoised) && same_bits(c_noise, r.c_noise) &&
           same_bits(next, r.next);
  }
};

template <class F, class Next>
Result<Next> run(const Case& c, const Given<F>& given, const simt::Schedule& schedule) {
  simt::machine().set_schedule(schedule);
  CudaStream stream;
  const size_t count = size_t(c.dims.n) * size_t(c.dims.per_image), copies = c.dims.guided ? 2 : 1;
  DeviceArray<float> start(stream, given.start, c.offset), x(stream, given.x, c.offset);
  DeviceArray<float> d1(stream, given.d1, c.offset), d2(stream, given.d2, c.offset);
  DeviceArray<F> f(stream, given.f, c.offset);
  DeviceArray<float> to(stream, count, c.offset), denoised(stream, given.start.size(), c.offset);
  DeviceArray<Next> next(stream, copies * count, c.offset);
  DeviceArray<float> c_noise(stream, copies * size_t(c.dims.n));
  DeviceArray<uint64_t> seeds(stream, c.step.c != 0 ? seeds_of(c.dims.n) : std::vector<uint64_t>{});
  DeviceArray<SdeStep> step(stream, std::vector<SdeStep>{c.step});
  DeviceArray<float>& out = c.in_place ? start : to;
  sde_update(stream, c.dims, step.data(),
             {.start = start.in(),
              .x = c.in_place ? start.in() : x.in(),
              .f = f.in(),
              .history = {d1.in(), d2.in()},
              .seeds = c.step.c != 0 ? seeds.data() : nullptr,
              .denoised = denoised.out(),
              .x_out = out.out(),
              .next_in = next.out(),
              .next_c_noise = c_noise.out()});
  if (!c.in_place) CHECK(simt::same_bits(start.read(), given.start));
  return {out.read(), denoised.read(), c_noise.read(), next.read()};
}

/// The CPU's answer in f64, and for each element of x' and D_0 the sum of its terms' magnitudes.
struct Reference {
  std::vector<double> x, denoised;
  std::vector<double> x_size, denoised_size;

  template <class F>
  Reference(const Case& c, const Given<F>& given) {
    const size_t count = size_t(c.dims.n) * size_t(c.dims.per_image), copies = c.dims.guided ? 2 : 1;
    F64Array start(given.start), at(given.x), f(given.f), d1(given.d1), d2(given.d2);
    F64Array to(count), d0(start.v.size()), next_in(copies * count);
    CpuStream stream(1);
    const auto seeds = seeds_of(c.dims.n);
    sde_update(stream, c.dims, &c.step,
               {.start = start.in(),
                .x = at.in(),
                .f = f.in(),
                .history = {d1.in(), d2.in()},
                .seeds = seeds.data(),
                .denoised = d0.out(),
                .x_out = to.out(),
                .next_in = next_in.out()});
    x = to.v, denoised = d0.v;
    const SdeStep& s = c.step;
    for (size_t i = 0; i < count; ++i) {
      double d = 0, sum = 6 * std::abs(s.c);  // a normal number is less than 6
      if (!c.prior) {
        const double null = c.dims.guided ? std::abs(f.v[count + i]) : 0;
        const double answer =
            c.dims.guided ? null + std::abs(s.guidance) * (std::abs(f.v[i]) + null) : std::abs(f.v[i]);
        d = std::abs(s.skip * at.v[i]) + std::abs(s.out) * answer;
        sum += std::abs(s.a * start.v[i]) + std::abs(s.b[0]) * d;
        denoised_size.push_back(d);
      }
      if (!d1.v.empty()) sum += std::abs(s.b[1] * d1.v[i]);
      if (!d2.v.empty()) sum += std::abs(s.b[2] * d2.v[i]);
      x_size.push_back(sum);
    }
  }
};

template <class F, class Next>
void check_case(const Case& c) {
  CAPTURE(c.dims.n);
  CAPTURE(c.dims.per_image);
  CAPTURE(c.dims.history);
  CAPTURE(c.dims.guided);
  CAPTURE(c.step.guidance);
  CAPTURE(c.prior);
  CAPTURE(c.offset);
  CAPTURE(c.in_place);
  const Given<F> given(c);
  const auto first = run<F, Next>(c, given, {});
  for (const simt::Schedule& schedule : simt::all_schedules())
    CHECK(run<F, Next>(c, given, schedule) == first);
  const Reference expected(c, given);
  const size_t count = first.x.size();
  int wrong = 0;
  for (size_t i = 0; i < first.denoised.size(); ++i)  // three products and three additions at most
    wrong +=
        !(std::abs(first.denoised[i] - expected.denoised[i]) <= 6 * kRounding * expected.denoised_size[i]);
  for (size_t i = 0; i < count; ++i)  // those, five products and four additions; 4 ulp of a normal number
    wrong += !(std::abs(first.x[i] - expected.x[i]) <= 16 * kRounding * expected.x_size[i]);
  for (size_t i = 0; i < first.next.size(); ++i) {  // one more product, and its rounding to its own type
    const double next = double(c.step.next_scale) * first.x[i % count];
    const double tolerance = std::ldexp(1.01, sizeof(Next) == 2 ? -8 : -24) * std::abs(next);
    wrong += !(std::abs(double(float(first.next[i])) - next) <= tolerance);
  }
  for (const float c_noise : first.c_noise) wrong += !(c_noise == c.step.next_c_noise);
  CHECK(wrong == 0);
}

SdeStep all_terms(float guidance = 1, float c = 0.6f) {
  SdeStep s;
  s.skip = 0.3f, s.out = -1.7f, s.guidance = guidance, s.a = 0.75f;
  s.b[0] = 0.5f, s.b[1] = -1.25f, s.b[2] = 0.3f;
  s.c = c, s.next_scale = 0.9f, s.next_c_noise = -1.375f, s.noise_step = 5;
  return s;
}

SdeUpdateDims dims(int n, int per_image, int history, bool guided) {
  return {n, per_image, history, guided, Purpose::sampler_noise};
}

}  // namespace

TEST_CASE("sde_update agrees with the CPU in f64") {
  for (const auto& [n, d] : {std::pair{1, 1}, {2, 7}, {3, 64}, {2, 1027}, {1, 4100}})
    for (int history = 0; history <= kSdeHistory; ++history) {
      check_case<float, float>({dims(n, d, history, false), all_terms()});
      check_case<bf16, bf16>({dims(n, d, history, false), all_terms()});
    }
  check_case<float, bf16>({dims(2, 1028, 1, false), all_terms()});
  check_case<bf16, float>({dims(2, 1028, 1, false), all_terms()});
}

TEST_CASE("sde_update combines a guided network's two answers") {
  for (const float guidance : {0.0f, 1.0f, 2.5f})
    for (const int d : {37, 64}) {
      check_case<float, float>({dims(3, d, 2, true), all_terms(guidance)});
      check_case<bf16, bf16>({dims(3, d, 2, true), all_terms(guidance)});
    }
  check_case<bf16, bf16>({dims(2, 64, 0, true), all_terms(2, 0), false, 1});
}

TEST_CASE("sde_update: the prior, no noise, in place, unaligned") {
  for (const int d : {65, 128}) {
    check_case<float, float>({dims(2, d, 0, false), all_terms(), true});
    check_case<float, bf16>({dims(2, d, 0, true), all_terms(), true});
    check_case<float, float>({dims(2, d, 1, false), all_terms(1, 0)});  // and no seeds
    check_case<float, float>({dims(2, d, 1, false), all_terms(), false, 0, true});
    check_case<bf16, bf16>({dims(2, d, 1, true), all_terms(3), false, 0, true});
    check_case<bf16, float>({dims(2, d, 2, false), all_terms(), false, 1});
    check_case<float, float>({dims(2, d, 2, false), all_terms(), false, 3, true});
  }
}

TEST_CASE("the noise is Box-Muller's of the CPU's Philox integers, within 4 ulp, whatever the batch") {
  CudaStream stream;
  const int d = 1029, n = 3;
  SdeStep noise;
  noise.c = 1, noise.noise_step = 9;
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    DeviceArray<float> out(stream, size_t(n * d)), one(stream, d);
    DeviceArray<uint64_t> seeds(stream, seeds_of(n));
    DeviceArray<SdeStep> step(stream, std::vector<SdeStep>{noise});
    SdeUpdateOperands o;
    o.seeds = seeds.data(), o.x_out = out.out();
    sde_update(stream, {n, d, 0, false, Purpose::prior}, step.data(), o);
    o.seeds += 2, o.x_out = one.out();
    sde_update(stream, {1, d, 0, false, Purpose::prior}, step.data(), o);
    const auto all = out.read();
    CHECK(simt::same_bits(one.read(), {all.end() - d, all.end()}));
    int wrong = 0;
    for (int i = 0; i < n * d; ++i) {
      const int e = i % d, pair = e % 4 / 2 * 2;
      const Philox4 r = random_block({seeds_of(n)[size_t(i / d)], Purpose::prior, 9, 0}, uint32_t(e / 4));
      const double radius = std::sqrt(-2 * std::log(double(uniform_open(r.v[pair]))));
      const double angle = 2 * 3.14159265358979323846 * uniform_open(r.v[pair + 1]);
      const double exact = radius * (e % 2 ? std::sin(angle) : std::cos(angle));
      // Of the radius: next to a zero of the sine a number is small, and so many of its own ulp away.
      const double ulp = std::ldexp(1.0, std::ilogb(radius) - 23);
      wrong += !(std::abs(all[size_t(i)] - exact) <= 4 * ulp);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("sde_update refuses what it cannot do") {
  using Operands = SdeUpdateOperands;
  CudaStream stream;
  double f64 = 0;
  float x = 0;
  const Out x64{&f64, DType::f64}, x32{&x, DType::f32};
  const SdeStep step;
  const auto update = [&](const SdeUpdateDims& d, const Operands& o) { sde_update(stream, d, &step, o); };
  const SdeUpdateDims one = dims(1, 1, 0, false);
  CHECK_THROWS_WITH(update(one, Operands{.x_out = x64}),
                    "sde_update: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(update(one, Operands{.start = x32, .x = x32, .f = x64, .x_out = x32}),
                    "sde_update: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(update(one, Operands{.start = x32, .x_out = {}}), "sde_update: x_out is missing");
  CHECK_THROWS_WITH(update(dims(1, 1, 1, false), Operands{.start = x32, .x_out = x32}),
                    "sde_update: history 0 of 1 is missing");
  CHECK_THROWS_AS(update(dims(70000, 1, 0, false), Operands{.start = x32, .x_out = x32}), ito::Error);
}
