#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernels/langevin.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::F64Array;
using simt::normals;
using simt::under_all_schedules;

namespace {

struct Case {
  LangevinDims dims;
  bool guided = false, limits = false;
  size_t offset = 0;      // elements off the alignment of 16 bytes
  bool in_place = false;  // x' replaces x
  LangevinStep step = numbers();

  static LangevinStep numbers() {
    LangevinStep s;
    s.network = {0.3f, -1.7f, 0.9f, -1.375f}, s.guide = {-0.4f, 0.6f, 1.3f, 2.25f};
    s.guidance = 1.5f, s.alpha = 0.8f, s.snr = 0.2f, s.sigma = 1.2f, s.noise_step = 11;
    return s;
  }
  size_t count() const { return size_t(dims.n) * size_t(dims.per_image); }
};

/// What a case is given, f rounded to its type.
template <class F>
struct Given {
  std::vector<float> x, limit;
  std::vector<F> f, guide_f;
  std::vector<uint64_t> seeds;
  explicit Given(const Case& c) {
    x = normals<float>(c.count(), 1), f = normals<F>(c.count(), 2),
    guide_f = normals<F>(c.guided ? c.count() : 0, 3);
    for (int i = 0; c.limits && i < c.dims.n; ++i) limit.push_back(i % 2 ? 2.5f : 1.0f);
    for (int i = 0; i < c.dims.n; ++i) seeds.push_back(0x9000000000000000u + uint64_t(i) * 0x100000001u);
  }
};

/// All results, one after the other: norms, x', then each network's next input and condition.
template <class Next, class F>
std::vector<float> run(const Case& c, const Given<F>& given) {
  CudaStream stream;
  const size_t guided = c.guided ? 1 : 0, n = size_t(c.dims.n);
  DeviceArray<float> x(stream, given.x, c.offset), limit(stream, given.limit), norms(stream, 2 * n);
  DeviceArray<F> f(stream, given.f, c.offset), guide_f(stream, given.guide_f, c.offset);
  DeviceArray<float> to(stream, c.count(), c.offset), c_noise(stream, n), guide_c_noise(stream, guided * n);
  DeviceArray<Next> next(stream, c.count(), c.offset), guide_next(stream, guided * c.count(), c.offset);
  DeviceArray<uint64_t> seeds(stream, given.seeds);
  DeviceArray<LangevinStep> step(stream, std::vector<LangevinStep>{c.step});
  DeviceArray<float>& out = c.in_place ? x : to;
  const LangevinOperands o{.x = x.in(),
                           .network = {f.in(), next.out(), c_noise.out()},
                           .guide = {guide_f.in(), guide_next.out(), guide_c_noise.out()},
                           .limit = limit.in(),
                           .seeds = seeds.data(),
                           .norms = norms.out(),
                           .x_out = out.out()};
  langevin_norms(stream, c.dims, step.data(), o);
  CHECK(simt::same_bits(x.read(), given.x));
  langevin_update(stream, c.dims, step.data(), o);
  std::vector<float> all = norms.read();
  const auto append = [&](const auto& values) {
    for (const auto& v : values) all.push_back(float(v));
  };
  append(out.read()), append(next.read()), append(c_noise.read());
  append(guide_next.read()), append(guide_c_noise.read());
  return all;
}

std::vector<float> piece(const std::vector<float>& all, size_t from, size_t count) {
  const auto begin = all.begin() + ptrdiff_t(from);
  return {begin, begin + ptrdiff_t(count)};
}

/// x' of a run without next inputs' types in question.
std::vector<float> moved(const Case& c, const Given<float>& given) {
  return piece(run<float>(c, given), 2 * size_t(c.dims.n), c.count());
}

template <class F>
void check_reference(const Case& c, const Given<F>& given, const std::vector<float>& norms,
                     const std::vector<float>& x) {
  CpuStream stream(1);
  F64Array at(given.x), f(given.f), guide_f(given.guide_f), limit(given.limit), squares(norms.size()),
      to(x.size());
  const LangevinOperands o{.x = at.in(),
                           .network = {.f = f.in()},
                           .guide = {.f = guide_f.in()},
                           .limit = limit.in(),
                           .seeds = given.seeds.data(),
                           .norms = squares.out(),
                           .x_out = to.out()};
  langevin_norms(stream, c.dims, &c.step, o);
  langevin_update(stream, c.dims, &c.step, o);
  // Terms of D_0 reach 32, with six roundings each, in sums where |D_0 - x| is about 1 an element; a normal number is
  // 4 ulp of its radius, less than 8, from the exact one.
  const double value = 6 * 32 * simt::rounding<float>(), noise = 64 * simt::rounding<float>();
  CHECK(simt::count_wrong(norms, squares.v, 2 * (value + noise)) == 0);
  CHECK(simt::count_wrong(x, to.v, 4 * simt::rounding<float>(), 2 * (value + noise)) == 0);
}

template <class F, class Next>
void check_case(const Case& c) {
  CAPTURE(c.dims.n);
  CAPTURE(c.dims.per_image);
  CAPTURE(c.dims.batch_norms);
  CAPTURE(c.guided);
  CAPTURE(c.limits);
  CAPTURE(c.offset);
  CAPTURE(c.in_place);
  const Given<F> given(c);
  const std::vector<float> all = under_all_schedules([&] { return run<Next>(c, given); });
  const size_t n = size_t(c.dims.n);
  const std::vector<float> norms = piece(all, 0, 2 * n), x = piece(all, 2 * n, c.count());
  check_reference(c, given, norms, x);
  size_t at = 2 * n + c.count();
  for (const SdeNetwork& network : {c.step.network, c.step.guide}) {
    if (at == all.size()) break;  // no guide
    std::vector<double> scaled;
    for (const float v : x) scaled.push_back(double(network.next_scale) * v);
    CHECK(simt::count_wrong(piece(all, at, c.count()), scaled, simt::rounding<Next>()) == 0);
    CHECK(piece(all, at + c.count(), n) == std::vector<float>(n, network.next_c_noise));
    at += c.count() + n;
  }
  CHECK(at == all.size());
}

}  // namespace

TEST_CASE("langevin agrees with the CPU in f64") {
  for (const bool batch_norms : {false, true})
    for (const auto& [n, d] : {std::pair{1, 1}, {2, 7}, {3, 64}, {2, 2051}}) {
      check_case<float, float>({{n, d, batch_norms}});
      check_case<bf16, bf16>({{n, d, batch_norms}});
    }
  check_case<float, bf16>({{2, 1028}});
  check_case<bf16, float>({{2, 1028}});
  check_case<float, float>({{260, 5, true}});  // more images than threads that sum their norms
}

TEST_CASE("langevin: a guide, limits, in place, unaligned") {
  for (const int d : {65, 128})
    for (const bool limits : {false, true}) {
      check_case<float, float>({.dims = {2, d}, .guided = true, .limits = limits});
      check_case<bf16, bf16>({.dims = {2, d, true}, .guided = true, .limits = limits, .in_place = true});
      check_case<bf16, float>({.dims = {2, d}, .guided = false, .limits = limits, .offset = 1});
      check_case<float, bf16>(
          {.dims = {2, d}, .guided = true, .limits = limits, .offset = 3, .in_place = true});
    }
}

TEST_CASE("langevin: any one operand off the alignment of 16 bytes") {
  Case c{.dims = {2, 8}};
  c.guided = true;
  simt::with_each_array_unaligned([&] { check_case<float, float>(c); });
}

TEST_CASE("langevin: nothing moves where snr is 0, nor where D_0 is x") {
  for (const bool batch_norms : {false, true}) {
    Case c{.dims = {2, 301, batch_norms}};
    Given<float> given(c);
    given.x[3] = -0.0f;
    c.step.snr = 0;
    CHECK(simt::same_bits(moved(c, given), given.x));
    c.step.network.skip = 1, c.step.network.out = 0;
    CHECK(simt::same_bits(moved(c, given), given.x));
    c.step.snr = 0.3f;
    CHECK(simt::same_bits(moved(c, given), given.x));
  }
}

TEST_CASE("langevin: a NaN is seen, in its image or, with the batch's norms, in all") {
  for (const bool batch_norms : {false, true}) {
    const Case c{.dims = {3, 301, batch_norms}, .limits = true};
    Given<float> given(c);
    given.f[301 + 5] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> x = moved(c, given);
    int wrong = 0;
    for (size_t i = 0; i < x.size(); ++i) wrong += std::isnan(x[i]) != (batch_norms || i / 301 == 1);
    CHECK(wrong == 0);
  }
}

TEST_CASE("langevin: an image depends on its seed alone, unless the batch's norms are asked for") {
  Case five{.dims = {5, 1030}, .guided = true, .limits = true};
  Case one{.dims = {1, 1030}, .guided = true, .limits = true};
  const Given<float> all(five);
  Given<float> given(one);
  given.x = piece(all.x, 3 * 1030, 1030), given.f = piece(all.f, 3 * 1030, 1030);
  given.guide_f = piece(all.guide_f, 3 * 1030, 1030), given.limit = {all.limit[3]},
  given.seeds = {all.seeds[3]};
  const std::vector<float> alone = moved(one, given);
  CHECK(simt::same_bits(alone, piece(moved(five, all), 3 * 1030, 1030)));
  CHECK(piece(run<float>(one, given), 0, 2) == piece(run<float>(five, all), 6, 2));
  five.dims.batch_norms = true;
  CHECK(!simt::same_bits(alone, piece(moved(five, all), 3 * 1030, 1030)));
  given.seeds[0] += 1;
  CHECK(!simt::same_bits(alone, moved(one, given)));
}

TEST_CASE("langevin refuses what it cannot do") {
  CudaStream stream;
  const LangevinStep step;
  double f64 = 0;
  float x = 0;
  const uint64_t seed = 1;
  const Out x32{&x, DType::f32};
  LangevinOperands o{.x = x32, .network = {.f = x32}, .seeds = &seed, .norms = x32};
  CHECK_THROWS_WITH(langevin_update(stream, {1, 1}, &step, o), "langevin: x_out is missing");
  o.x_out = x32;
  CHECK_THROWS_AS(langevin_update(stream, {70000, 1}, &step, o), ito::Error);
  o.x = {&f64, DType::f64};
  CHECK_THROWS_WITH(langevin_norms(stream, {1, 1}, &step, o),
                    "langevin: f64 exists on the CPU only; on CUDA use f32 or bf16");
  o.seeds = nullptr;
  CHECK_THROWS_WITH(langevin_norms(stream, {1, 1}, &step, o), "langevin: noise needs a seed for each image");
}
