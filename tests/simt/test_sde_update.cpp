#include <doctest/doctest.h>

#include <cmath>
#include <limits>

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
  bool guided = false;
  bool prior = false;     // no start and no f
  size_t offset = 0;      // elements off the alignment of 16 bytes
  bool in_place = false;  // x' replaces start, which is where the network was asked
  bool limits = false;
  size_t count() const { return size_t(dims.n) * size_t(dims.per_image); }
};

std::vector<uint64_t> seeds_of(int n) {
  std::vector<uint64_t> seeds;
  for (int i = 0; i < n; ++i) seeds.push_back(0x9000000000000000u + uint64_t(i) * 0x100000001u);
  return seeds;
}

/// What a case is given, f rounded to its type.
template <class F>
struct Given {
  std::vector<float> start, x, history[kSdeHistory], limit;
  std::vector<F> f, guide_f;
  explicit Given(const Case& c) {
    start = normals<float>(c.prior ? 0 : c.count(), 0),
    x = c.in_place ? start : normals<float>(start.size(), 1);
    for (int k = 0; k < kSdeHistory; ++k)
      history[k] = normals<float>(c.dims.history > k ? c.count() : 0, uint32_t(2 + k));
    f = normals<F>(start.size(), 10), guide_f = normals<F>(c.guided ? start.size() : 0, 11);
    for (int i = 0; c.limits && i < c.dims.n; ++i) limit.push_back(i % 2 ? 2.5f : 1.0f);
  }
};

template <class Next>
struct Result {
  std::vector<float> x, denoised, c_noise, guide_c_noise;
  std::vector<Next> next, guide_next;
  bool operator==(const Result& r) const {
    using simt::same_bits;
    return same_bits(x, r.x) && same_bits(denoised, r.denoised) && same_bits(c_noise, r.c_noise) &&
           same_bits(guide_c_noise, r.guide_c_noise) && same_bits(next, r.next) &&
           same_bits(guide_next, r.guide_next);
  }
};

template <class F, class Next>
Result<Next> run(const Case& c, const Given<F>& given, const simt::Schedule& schedule) {
  simt::machine().set_schedule(schedule);
  CudaStream stream;
  const size_t guided = c.guided ? 1 : 0, n = size_t(c.dims.n);
  DeviceArray<float> start(stream, given.start, c.offset), x(stream, given.x, c.offset);
  DeviceArray<float> d1(stream, given.history[0], c.offset), d2(stream, given.history[1], c.offset);
  DeviceArray<float> d3(stream, given.history[2], c.offset), limit(stream, given.limit);
  DeviceArray<F> f(stream, given.f, c.offset), guide_f(stream, given.guide_f, c.offset);
  DeviceArray<float> to(stream, c.count(), c.offset), denoised(stream, given.start.size(), c.offset);
  DeviceArray<Next> next(stream, c.count(), c.offset), guide_next(stream, guided * c.count(), c.offset);
  DeviceArray<float> c_noise(stream, n), guide_c_noise(stream, guided * n);
  DeviceArray<uint64_t> seeds(stream, c.step.c != 0 ? seeds_of(c.dims.n) : std::vector<uint64_t>{});
  DeviceArray<SdeStep> step(stream, std::vector<SdeStep>{c.step});
  DeviceArray<float>& out = c.in_place ? start : to;
  sde_update(stream, c.dims, step.data(),
             {.start = start.in(),
              .x = c.in_place ? start.in() : x.in(),
              .network = {f.in(), next.out(), c_noise.out()},
              .guide = {guide_f.in(), guide_next.out(), guide_c_noise.out()},
              .history = {d1.in(), d2.in(), d3.in()},
              .limit = limit.in(),
              .seeds = c.step.c != 0 ? seeds.data() : nullptr,
              .denoised = denoised.out(),
              .x_out = out.out()});
  if (!c.in_place) CHECK(simt::same_bits(start.read(), given.start));
  return {out.read(), denoised.read(), c_noise.read(), guide_c_noise.read(), next.read(), guide_next.read()};
}

/// The CPU's answer in f64, and for each element of x' and D_0 the sum of its terms' magnitudes.
struct Reference {
  std::vector<double> x, denoised;
  std::vector<double> x_size, denoised_size;

  template <class F>
  Reference(const Case& c, const Given<F>& given) {
    F64Array start(given.start), at(given.x), f(given.f), guide_f(given.guide_f), limit(given.limit);
    F64Array d1(given.history[0]), d2(given.history[1]), d3(given.history[2]);
    F64Array to(c.count()), d0(start.v.size());
    CpuStream stream(1);
    const auto seeds = seeds_of(c.dims.n);
    sde_update(stream, c.dims, &c.step,
               {.start = start.in(),
                .x = at.in(),
                .network = {.f = f.in()},
                .guide = {.f = guide_f.in()},
                .history = {d1.in(), d2.in(), d3.in()},
                .limit = limit.in(),
                .seeds = seeds.data(),
                .denoised = d0.out(),
                .x_out = to.out()});
    x = to.v, denoised = d0.v;
    const SdeStep& s = c.step;
    const std::vector<double>* const history[] = {&d1.v, &d2.v, &d3.v};
    for (size_t i = 0; i < c.count(); ++i) {
      double sum = 6 * std::abs(s.c);  // a normal number is less than 6
      if (!c.prior) {
        double d = std::abs(s.network.skip * at.v[i]) + std::abs(s.network.out * f.v[i]);
        if (c.guided) {
          const double from = std::abs(s.guide.skip * at.v[i]) + std::abs(s.guide.out * guide_f.v[i]);
          d = from + std::abs(s.guidance) * (d + from);
        }
        sum += std::abs(s.b_raw) * d;
        if (c.limits) d /= limit.v[i / size_t(c.dims.per_image)];
        sum += std::abs(s.a * start.v[i]) + std::abs(s.b[0]) * d;
        denoised_size.push_back(d);
      }
      for (int k = 0; k < c.dims.history; ++k) sum += std::abs(s.b[1 + k] * (*history[k])[i]);
      x_size.push_back(sum);
    }
  }
};

/// Results that are not a network's next input and condition for x'.
template <class Next>
int count_wrong_next(const SdeNetwork& numbers, const std::vector<float>& x, const std::vector<Next>& next,
                     const std::vector<float>& c_noise) {
  int wrong = 0;
  for (size_t i = 0; i < next.size(); ++i) {  // a product, and its rounding to its own type
    const double exact = double(numbers.next_scale) * x[i];
    const double tolerance = std::ldexp(1.01, sizeof(Next) == 2 ? -8 : -24) * std::abs(exact);
    wrong += !(std::abs(double(float(next[i])) - exact) <= tolerance);
  }
  for (const float c : c_noise) wrong += !(c == numbers.next_c_noise);
  return wrong;
}

/// Results farther from f64 than rounding explains.
template <class F, class Next>
int count_wrong_results(const Case& c, const Given<F>& given, const Result<Next>& got) {
  const Reference expected(c, given);
  int wrong = 0;
  // D_network and D_guide have two roundings; their difference, its product, the sum and the division one each.
  for (size_t i = 0; i < got.denoised.size(); ++i)
    wrong += !(std::abs(got.denoised[i] - expected.denoised[i]) <= 6 * kRounding * expected.denoised_size[i]);
  // Those, a product and six additions; 4 ulp of a normal number.
  for (size_t i = 0; i < got.x.size(); ++i)
    wrong += !(std::abs(got.x[i] - expected.x[i]) <= 17 * kRounding * expected.x_size[i]);
  wrong += count_wrong_next(c.step.network, got.x, got.next, got.c_noise);
  wrong += count_wrong_next(c.step.guide, got.x, got.guide_next, got.guide_c_noise);
  return wrong;
}

template <class F, class Next>
void check_case(const Case& c) {
  CAPTURE(c.dims.n);
  CAPTURE(c.dims.per_image);
  CAPTURE(c.dims.history);
  CAPTURE(c.guided);
  CAPTURE(c.limits);
  CAPTURE(c.step.guidance);
  CAPTURE(c.prior);
  CAPTURE(c.offset);
  CAPTURE(c.in_place);
  const Given<F> given(c);
  const auto first = run<F, Next>(c, given, {});
  for (const simt::Schedule& schedule : simt::all_schedules())
    CHECK(run<F, Next>(c, given, schedule) == first);
  CHECK(count_wrong_results(c, given, first) == 0);
}

SdeStep all_terms(float guidance = 1, float c = 0.6f) {
  SdeStep s;
  s.network = {0.3f, -1.7f, 0.9f, -1.375f}, s.guide = {-0.4f, 0.6f, 1.3f, 2.25f};
  s.guidance = guidance, s.a = 0.75f;
  s.b[0] = 0.5f, s.b[1] = -1.25f, s.b[2] = 0.3f, s.b[3] = 1.1f;
  s.b_raw = -0.65f, s.c = c, s.noise_step = 5;
  return s;
}

SdeUpdateDims dims(int n, int per_image, int history) {
  return {n, per_image, history, Purpose::sampler_noise};
}

}  // namespace

TEST_CASE("sde_update agrees with the CPU in f64") {
  for (const auto& [n, d] : {std::pair{1, 1}, {2, 7}, {3, 64}, {2, 1027}, {1, 4100}})
    for (int history = 0; history <= kSdeHistory; ++history) {
      check_case<float, float>({dims(n, d, history), all_terms()});
      check_case<bf16, bf16>({dims(n, d, history), all_terms()});
    }
  Case all{dims(2, 8, kSdeHistory), all_terms(2)};
  all.guided = all.limits = true;
  const Given<float> given(all);
  simt::with_each_array_unaligned(
      [&] { CHECK(count_wrong_results(all, given, run<float, float>(all, given, {})) == 0); });
  check_case<float, bf16>({dims(2, 1028, 1), all_terms()});
  check_case<bf16, float>({dims(2, 1028, 1), all_terms()});
}

TEST_CASE("sde_update leads away from a guide, which has numbers of its own") {
  for (const float guidance : {0.0f, 1.0f, 2.5f})
    for (const int d : {37, 64}) {
      check_case<float, float>({dims(3, d, 3), all_terms(guidance), true});
      check_case<bf16, bf16>({dims(3, d, 2), all_terms(guidance), true});
    }
  check_case<bf16, float>({dims(3, 64, 1), all_terms(2), true});
  check_case<bf16, bf16>({.dims = dims(2, 64, 0), .step = all_terms(2, 0), .guided = true, .offset = 1});
}

TEST_CASE("sde_update clamps D_0 to its image's limit, but no NaN") {
  for (const bool guided : {false, true})
    for (const int d : {37, 64}) {
      check_case<float, bf16>(
          {.dims = dims(3, d, 1), .step = all_terms(1.5f), .guided = guided, .limits = true});
      check_case<bf16, float>({.dims = dims(3, d, 0),
                               .step = all_terms(1.5f),
                               .guided = guided,
                               .in_place = true,
                               .limits = true});
      Case c{.dims = dims(2, d, 0), .step = all_terms(1.5f), .guided = guided, .limits = true};
      Given<float> given(c);
      given.f[5] = given.limit[1] = std::numeric_limits<float>::quiet_NaN();
      const Result<float> result = run<float, float>(c, given, {});
      int wrong = 0, clamped = 0;
      for (size_t i = 0; i < result.x.size(); ++i) {
        const bool broken = i == 5 || i >= size_t(d);
        wrong += std::isnan(result.x[i]) != broken || std::isnan(result.denoised[i]) != broken;
        clamped += std::abs(result.denoised[i]) == 1;
      }
      CHECK(wrong == 0);
      CHECK((clamped > 0 && clamped < d));
    }
}

TEST_CASE("sde_update: the prior, no noise, in place, unaligned") {
  for (const int d : {65, 128}) {
    check_case<float, float>({.dims = dims(2, d, 0), .step = all_terms(), .prior = true});
    check_case<float, bf16>({.dims = dims(2, d, 0), .step = all_terms(), .guided = true, .prior = true});
    check_case<float, float>({dims(2, d, 1), all_terms(1, 0)});  // and no seeds
    check_case<float, float>({.dims = dims(2, d, 1), .step = all_terms(), .in_place = true});
    check_case<bf16, bf16>({.dims = dims(2, d, 1), .step = all_terms(3), .guided = true, .in_place = true});
    check_case<bf16, float>({.dims = dims(2, d, 2), .step = all_terms(), .offset = 1});
    check_case<float, float>({.dims = dims(2, d, 3), .step = all_terms(), .offset = 3, .in_place = true});
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
    sde_update(stream, {n, d, 0, Purpose::prior}, step.data(), o);
    o.seeds += 2, o.x_out = one.out();
    sde_update(stream, {1, d, 0, Purpose::prior}, step.data(), o);
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

TEST_CASE("D_0 is written where there is a network, and it is wanted") {
  CudaStream stream;
  const int d = 8;
  DeviceArray<uint64_t> seeds(stream, seeds_of(1));
  DeviceArray<SdeStep> step(stream, std::vector<SdeStep>{all_terms()});
  DeviceArray<float> x(stream, normals<float>(d, 1)), f(stream, normals<float>(d, 2)), out(stream, d),
      d0(stream, d);
  SdeUpdateOperands o;
  o.seeds = seeds.data(), o.x_out = out.out(), o.denoised = d0.out();
  sde_update(stream, dims(1, d, 0), step.data(), o);
  for (const float v : d0.read()) CHECK(std::isnan(v));  // as it was made
  o.start = x.in(), o.x = x.in(), o.network.f = f.in();
  sde_update(stream, dims(1, d, 0), step.data(), o);
  const std::vector<float> both = out.read();
  for (const float v : d0.read()) CHECK(!std::isnan(v));
  o.denoised = {};
  sde_update(stream, dims(1, d, 0), step.data(), o);
  CHECK(simt::same_bits(out.read(), both));
}

TEST_CASE("sde_update refuses what it cannot do") {
  using Operands = SdeUpdateOperands;
  CudaStream stream;
  double f64 = 0;
  float x = 0;
  const Out x64{&f64, DType::f64}, x32{&x, DType::f32};
  const SdeStep step;
  const auto update = [&](const SdeUpdateDims& d, const Operands& o) { sde_update(stream, d, &step, o); };
  const SdeUpdateDims one = dims(1, 1, 0);
  CHECK_THROWS_WITH(update(one, Operands{.x_out = x64}),
                    "sde_update: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(update(one, Operands{.start = x32, .x = x32, .network = {.f = x64}, .x_out = x32}),
                    "sde_update: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_WITH(update(one, Operands{.start = x32, .x_out = {}}), "sde_update: x_out is missing");
  CHECK_THROWS_WITH(update(dims(1, 1, 1), Operands{.start = x32, .x_out = x32}),
                    "sde_update: history 0 of 1 is missing");
  CHECK_THROWS_AS(update(dims(70000, 1, 0), Operands{.start = x32, .x_out = x32}), ito::Error);
}
