#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "kernels/base/error.h"
#include "model/diffusion/noise_level.h"
#include "model/diffusion/schedule.h"

using namespace ito;
using namespace ito::model;
using doctest::Approx;

namespace {

NoiseLevelDraw draw_of(LevelDraw kind) {
  NoiseLevelDraw draw;
  draw.kind = kind;
  return draw;
}

/// The Kolmogorov-Smirnov distance between the sample and the distribution function `cdf`.
template <class F>
double ks_distance(std::vector<double> sample, F cdf) {
  std::sort(sample.begin(), sample.end());
  double worst = 0;
  const double n = double(sample.size());
  for (size_t i = 0; i < sample.size(); ++i) {
    const double p = cdf(sample[i]);
    worst = std::max({worst, std::abs(p - double(i) / n), std::abs(p - double(i + 1) / n)});
  }
  return worst;
}

// A right sampler exceeds 1.95 / sqrt(n) once in a thousand seeds; the seed is fixed.
constexpr int kDraws = 20000;
const double kKsBound = 1.95 / std::sqrt(double(kDraws));

}  // namespace

TEST_CASE("uniform and antithetic t are uniform on (1e-5, 1)") {
  for (LevelDraw kind : {LevelDraw::uniform, LevelDraw::antithetic}) {
    std::vector<double> times;
    for (int i = 0; i < kDraws; ++i)
      times.push_back(draw_of(kind)(Sde(), 11, uint32_t(i / 64), uint32_t(i % 64)).t);
    CHECK(*std::min_element(times.begin(), times.end()) > 1e-5);
    CHECK(*std::max_element(times.begin(), times.end()) < 1);
    CHECK(ks_distance(times, [](double t) { return (t - 1e-5) / (1 - 1e-5); }) < kKsBound);
  }
}

TEST_CASE("antithetic samples 2k and 2k+1 mirror each other; pairs are independent of each other") {
  const NoiseLevelDraw draw = draw_of(LevelDraw::antithetic);
  std::set<double> seen;
  for (uint32_t k = 0; k < 100; ++k) {
    const double even = draw(Sde(), 3, 5, 2 * k).t, odd = draw(Sde(), 3, 5, 2 * k + 1).t;
    CHECK(even + odd == Approx(1 + 1e-5).epsilon(1e-15));
    seen.insert(even), seen.insert(odd);
  }
  CHECK(seen.size() == 200);
}

TEST_CASE("log-normal: ln(sigma) ~ N(-1.2, 1.2^2) whatever the SDE, and t belongs to sigma") {
  for (const Sde& sde : {Sde(), Sde(Vp{})}) {
    std::vector<double> logs;
    for (int i = 0; i < kDraws; ++i) {
      const NoiseLevel level = draw_of(LevelDraw::log_normal)(sde, 12, uint32_t(i / 64), uint32_t(i % 64));
      logs.push_back(std::log(level.sigma));
      if (i < 100)
        CHECK(sde.stddev(level.t) / sde.mean(level.t) == Approx(level.sigma).scale(0).epsilon(1e-11));
    }
    CHECK(ks_distance(logs, [](double x) { return 0.5 * std::erfc(-(x + 1.2) / (1.2 * std::sqrt(2.0))); }) <
          kKsBound);
  }
  NoiseLevelDraw narrow;
  narrow.p_mean = 0.4, narrow.p_std = 0;
  CHECK(narrow(Sde(), 1, 2, 3).sigma == std::exp(0.4));
}

TEST_CASE("a level depends on seed, step and sample, and on nothing else") {
  for (LevelDraw kind : {LevelDraw::uniform, LevelDraw::antithetic, LevelDraw::log_normal}) {
    const NoiseLevelDraw draw = draw_of(kind);
    const double sigma = draw(Sde(), 1, 2, 4).sigma;
    CHECK(draw(Sde(), 1, 2, 4).sigma == sigma);
    CHECK(draw(Sde(), 2, 2, 4).sigma != sigma);
    CHECK(draw(Sde(), 1ull | 1ull << 40, 2, 4).sigma != sigma);
    CHECK(draw(Sde(), 1, 3, 4).sigma != sigma);
    CHECK(draw(Sde(), 1, 2, 6).sigma != sigma);
    CHECK(parse_name<LevelDraw>(name_of(kind)) == kind);
  }
  CHECK_THROWS_WITH_AS(
      parse_name<LevelDraw>("lognormal"),
      "unknown noise level draw \"lognormal\"; did you mean \"log-normal\"? Known: uniform, antithetic, "
      "log-normal",
      Error);
}

TEST_CASE("uniform times: both ends, even spacing") {
  const std::vector<double> times = uniform_times(500, 1e-3);
  CHECK(times.size() == 500);
  CHECK(times.front() == 1);
  CHECK(times.back() == 1e-3);
  for (size_t i = 1; i < times.size(); ++i)
    CHECK(times[i - 1] - times[i] == Approx(0.999 / 499).epsilon(1e-12));
  CHECK(uniform_times(1, 1e-3) == std::vector<double>{1});
  CHECK_THROWS_AS(uniform_times(0, 1e-3), Error);
  CHECK(uniform_times(10, 0).back() == 0);  // a table's first level
  CHECK_THROWS_AS(uniform_times(10, -0.1), Error);
}

TEST_CASE("Karras levels: both ends, a final 0, the formula in between") {
  const std::vector<double> sigmas = karras_sigmas(18, 0.002, 80);
  CHECK(sigmas.size() == 19);
  CHECK(sigmas[0] == 80);
  CHECK(sigmas[17] == 0.002);
  CHECK(sigmas[18] == 0);
  const double high = std::pow(80, 1 / 7.0), low = std::pow(0.002, 1 / 7.0);
  CHECK(sigmas[9] == Approx(std::pow(high + 9 / 17.0 * (low - high), 7)).epsilon(1e-13));
  for (size_t i = 1; i < sigmas.size(); ++i) CHECK(sigmas[i] < sigmas[i - 1]);
  CHECK(karras_sigmas(1, 0.002, 80) == std::vector<double>{80, 0});
  CHECK_THROWS_AS(karras_sigmas(0, 0.002, 80), Error);
  CHECK_THROWS_AS(karras_sigmas(18, 80, 0.002), Error);
}
