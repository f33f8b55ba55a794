#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "kernels/threshold.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;
using simt::F64Array;
using simt::normals;
using simt::under_all_schedules;

namespace {

SdeStep numbers() {
  SdeStep step;
  step.network = {0.3f, -1.7f, 1, 0}, step.guide = {-0.4f, 0.6f, 1, 0}, step.guidance = 1.5f;
  return step;
}

/// What a limit is found from, f rounded to its type.
template <class F>
struct Given {
  DynamicLimitDims dims;
  std::vector<float> x;
  std::vector<F> f, guide_f;

  Given(const DynamicLimitDims& d, bool guided) : dims(d) {
    const size_t count = size_t(d.n) * size_t(d.per_image);
    x = normals<float>(count, 1), f = normals<F>(count, 2), guide_f = normals<F>(guided ? count : 0, 3);
  }
  std::vector<float> run(size_t offset = 0) const {
    CudaStream stream;
    DeviceArray<float> at(stream, x, offset), limit(stream, size_t(dims.n));
    DeviceArray<F> of(stream, f, offset), guide_of(stream, guide_f, offset);
    DeviceArray<SdeStep> step(stream, std::vector<SdeStep>{numbers()});
    dynamic_limit(stream, dims, step.data(), {.x = at.in(), .f = of.in(), .guide_f = guide_of.in()},
                  limit.out());
    return limit.read();
  }
  std::vector<double> expected() const {
    CpuStream stream(1);
    F64Array at(x), of(f), guide_of(guide_f), limit(size_t(dims.n));
    const SdeStep step = numbers();
    dynamic_limit(stream, dims, &step, {.x = at.in(), .f = of.in(), .guide_f = guide_of.in()}, limit.out());
    return limit.v;
  }
};

/// A quantile moves by no more than the values do: six roundings of what is less than 32, and those of the
/// interpolation.
template <class F>
void check_limits(const DynamicLimitDims& dims, bool guided, size_t offset = 0) {
  CAPTURE(dims.n);
  CAPTURE(dims.per_image);
  CAPTURE(dims.quantile);
  CAPTURE(guided);
  CAPTURE(offset);
  const Given<F> given(dims, guided);
  const std::vector<float> limits = under_all_schedules([&] { return given.run(offset); });
  CHECK(simt::count_wrong(limits, given.expected(), 3 * simt::rounding<float>(),
                          6 * 32 * simt::rounding<float>()) == 0);
}

}  // namespace

TEST_CASE("dynamic_limit agrees with the CPU in f64") {
  for (const int d : {1, 2, 7, 64, 1027, 2100})
    for (const double quantile : {1e-9, 0.3, 0.995, 1.0}) check_limits<float>({2, d, quantile}, false);
  for (const int d : {37, 2048}) {
    check_limits<bf16>({3, d, 0.9}, false);
    check_limits<float>({3, d, 0.9}, true);
    check_limits<bf16>({3, d, 0.9}, true);
    check_limits<bf16>({1, d, 0.99}, true, 1);
    check_limits<float>({1, d, 0.99}, false, 3);
  }
}

TEST_CASE("dynamic_limit: any one operand off the alignment of 16 bytes") {
  simt::with_each_array_unaligned([] { check_limits<float>({2, 64, 0.9}, true); });
}

TEST_CASE("dynamic_limit: the next value is in the same last bin, in another, and in another first bin") {
  // D_0 = -1.7 F: 1 and its neighbours in f32, then values that differ in higher bits.
  const float next = std::nextafter(2.0f, 3.0f);
  for (const auto& values : {std::vector<float>{2, 2, 2, 2, 2},
                             {2, 2, 2, next, 9},
                             {next, 2, 2, 2, 2},
                             {2, 2, 2, 2.0005f, 9},
                             {2, 2, 2, 64, 1e30f},
                             {1e-30f, 0, 2, 1e-40f, -3}})
    for (const double quantile : {0.1, 0.5, 0.55, 0.6, 0.75, 0.8, 1.0}) {
      Given<float> given({1, 5, quantile}, false);
      given.x.assign(5, 0), given.f = values;
      const std::vector<float> limit = under_all_schedules([&] { return given.run(); });
      CHECK(simt::count_wrong(limit, given.expected(), 6 * simt::rounding<float>()) == 0);
    }
}

TEST_CASE("dynamic_limit: a NaN makes its image's limit NaN, an infinity counts as the largest value") {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  for (const double quantile : {0.5, 0.9, 1.0}) {
    Given<float> given({3, 5, quantile}, false);
    given.f[7] = std::copysign(nan, -1.0f);
    given.f[12] = given.f[14] = infinity;
    const std::vector<float> limits = under_all_schedules([&] { return given.run(); });
    CHECK((std::isfinite(limits[0]) && std::isnan(limits[1])));
    CHECK((quantile == 0.5 ? std::isfinite(limits[2]) : limits[2] == infinity));
  }
}

TEST_CASE("dynamic_limit: an image's limit does not depend on the others") {
  const int d = 1030;
  const Given<float> all({5, d, 0.97}, true);
  Given<float> one({1, d, 0.97}, true);
  const auto image = [&](const std::vector<float>& from) {
    return std::vector<float>(from.begin() + 3 * d, from.begin() + 4 * d);
  };
  one.x = image(all.x), one.f = image(all.f), one.guide_f = image(all.guide_f);
  CHECK(one.run()[0] == all.run()[3]);
}

TEST_CASE("dynamic_limit refuses what it cannot do") {
  CHECK_THROWS_WITH(Given<float>({1, 4, 0}, false).run(),
                    "dynamic_limit: a quantile is above 0 and at most 1, not 0");
  CudaStream stream;
  const SdeStep step;
  double f64 = 0;
  float x = 0;
  const In x64{&f64, DType::f64}, x32{&x, DType::f32};
  const Out limit64{&f64, DType::f64};
  CHECK_THROWS_WITH(dynamic_limit(stream, {1, 1, 0.5}, &step, {.x = x64, .f = x32, .guide_f = {}}, limit64),
                    "dynamic_limit: f64 exists on the CPU only; on CUDA use f32 or bf16");
}
