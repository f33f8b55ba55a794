#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "bench/formula_denoiser.h"
#include "bench/mixture.h"
#include "kernels/rk45_step.h"
#include "model/diffusion/sampler.h"
#include "model/diffusion/sampler_options.h"

/// The adaptive probability flow where its exact solution is known: numbers, as images of one pixel or of some.
namespace ito::model {
namespace {

using bench::formula_denoiser;
using bench::Mixture;
using engine::Device;
using engine::Shape;

Denoiser mixture_denoiser() {
  return formula_denoiser([](double x, double sigma) { return Mixture().denoise(x, sigma); });
}

SamplerPlan plan_of(double tolerance, const Sde& sde = Sde(), const char* clip = "none") {
  return make_sampler_plan(
      settle({.sampler = SamplerKind::rk45, .tolerance = tolerance, .clip = clip}, Prediction::edm), sde);
}

/// z of the tests: quantiles of N(0,1), so that ends can be compared with exact ones.
std::vector<float> quantiles(int count) {
  std::vector<float> z;
  for (int i = 0; i < count; ++i) {
    double low = -6, high = 6;
    const double p = (i + 0.5) / count;
    for (int k = 0; k < 60; ++k)
      (0.5 * std::erfc(-0.5 * (low + high) / std::sqrt(2)) < p ? low : high) = 0.5 * (low + high);
    z.push_back(float(low));
  }
  return z;
}

struct Ends {
  std::vector<float> x;
  double evaluations;
};

/// What count images of one pixel become, each with its own steps.
Ends ends_of(const SamplerPlan& plan, const Denoiser& denoiser, const std::vector<float>& z) {
  Device device({.threads = 2});
  Sampler sampler(device, denoiser, plan, {1, 1, 1}, int(z.size()));
  const std::vector<uint64_t> seeds(z.size(), 0);
  Ends ends{sampler.numbers(seeds, {.noise = z.data()}), 0};
  ends.evaluations = sampler.evaluations();
  return ends;
}

/// The rms error of a Gaussian's images, for which flow and last denoising are linear.
double gaussian_error(const Sde& sde, double tolerance, double* evaluations = nullptr) {
  constexpr double kStddev = 0.3;
  const SamplerPlan plan = plan_of(tolerance, sde);
  const std::vector<float> z = quantiles(40);
  const Ends ends = ends_of(plan, formula_denoiser([](double x, double s) {
                              return x * kStddev * kStddev / (kStddev * kStddev + s * s);
                            }),
                            z);
  const double most = plan.flow->most.sigma, least = plan.flow->least.sigma;
  const double last = kStddev * kStddev / (kStddev * kStddev + least * least);
  const double gain = most * std::hypot(kStddev, least) / std::hypot(kStddev, most) * last;
  double squares = 0;
  for (size_t i = 0; i < z.size(); ++i) squares += std::pow(ends.x[i] - gain * z[i], 2);
  if (evaluations) *evaluations = ends.evaluations;
  return std::sqrt(squares / double(z.size()));
}

TEST_CASE(
    "rk45: a Gaussian's exact flow to the tolerance, for every SDE, and more steps where it is smaller") {
  for (const Sde& sde : {Sde(), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{267})}) {
    double before = 0;
    for (const double tolerance : {1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
      CAPTURE(sde.equations().index());
      CAPTURE(tolerance);
      double evaluations = 0;
      // Errors of some ten steps; 6.2 times the tolerance was the most.
      CHECK(gaussian_error(sde, tolerance, &evaluations) < 10 * tolerance);
      CHECK(evaluations > before);
      before = evaluations;
    }
    CHECK(before < 400);
  }
}

TEST_CASE("rk45: a mixture's exact flow") {
  const std::vector<float> z = quantiles(200);
  const Mixture mixture;
  double before = 1;
  for (const double tolerance : {1e-4, 1e-5, 1e-6}) {
    const SamplerPlan plan = plan_of(tolerance);
    const Ends ends = ends_of(plan, mixture_denoiser(), z);
    std::vector<double> errors;
    for (size_t i = 0; i < z.size(); ++i) {
      const double least = plan.flow->least.sigma, most = plan.flow->most.sigma;
      const double x = mixture.point_at(mixture.quantile(most * z[i], most), least);
      errors.push_back(std::abs(ends.x[i] - mixture.denoise(x, least)));
    }
    std::sort(errors.begin(), errors.end());
    CAPTURE(tolerance);
    CAPTURE(ends.evaluations);
    // Between two modes the flow spreads errors without a bound, so not of all points.
    CHECK(errors[180] < 10 * tolerance);
    CHECK(errors[198] < before);
    before = errors[198];
  }
}

TEST_CASE("rk45: an image depends on its own noise alone, whatever it is drawn with") {
  Device device({.threads = 2});
  const SamplerPlan plan = plan_of(1e-4);
  const Shape image{2, 3, 3};
  const auto drawn = [&](const std::vector<uint64_t>& seeds, int chunk) {
    return Sampler(device, mixture_denoiser(), plan, image, chunk).numbers(seeds);
  };
  const std::vector<float> many = drawn({5, 9, 2, 7}, 4);
  const auto nine = many.begin() + image.count();
  CHECK(drawn({9}, 1) == std::vector<float>(nine, nine + image.count()));
  CHECK(drawn({9}, 3) == std::vector<float>(nine, nine + image.count()));
  CHECK(drawn({5, 9, 2, 7}, 4) == many);
}

TEST_CASE("rk45: two runs of one sampler, progress, clipping") {
  Device device({.threads = 1});
  Sampler sampler(device, mixture_denoiser(), plan_of(1e-3), {1, 1, 3}, 2);
  std::vector<double> parts;
  const std::vector<float> first =
      sampler.numbers({1, 2}, {.progress = [&](double done) { parts.push_back(done); }});
  CHECK(sampler.numbers({1, 2}) == first);
  CHECK(sampler.numbers({3, 2}) != first);
  CHECK(parts.size() > 5);
  CHECK(parts.front() > 0);
  CHECK(std::is_sorted(parts.begin(), parts.end()));
  CHECK(parts.back() == 1);
  const Denoiser wild = formula_denoiser([](double x, double) { return x > 0 ? 3.0 : -3.0; });
  for (const float x : Sampler(device, wild, plan_of(1e-3, Sde(), "static"), {2, 2, 3}, 1).numbers({4}))
    CHECK(std::abs(x) == doctest::Approx(1).epsilon(1e-4));
}

TEST_CASE("rk45: progress begins above 0, and evaluations are those of the images that were asked for") {
  Device device({.threads = 1});
  const auto evaluations = [&](const std::vector<uint64_t>& seeds, int chunk) {
    Sampler sampler(device, mixture_denoiser(), plan_of(1e-6), {1, 1, 3}, chunk);
    sampler.numbers(seeds, {.progress = [](double done) { CHECK((done > 0 && done <= 1)); }});
    return sampler.evaluations();
  };
  std::set<double> different;
  for (const uint64_t seed : {1, 3, 5, 7}) {
    const double one = evaluations({seed}, 1), two = evaluations({seed + 1}, 1);
    different.insert({one, two});
    CHECK(evaluations({seed, seed + 1}, 8) == (one + two) / 2);
  }
  CHECK(different.size() > 1);  // images do differ in it
}

TEST_CASE("rk45: a run that is given up leaves nothing behind") {
  Device device({.threads = 1});
  Sampler sampler(device, mixture_denoiser(), plan_of(1e-3), {1, 1, 3}, 2);
  struct GivenUp {};
  int reports = 0;
  const auto give_up = [&](double) {
    if (++reports == 3) throw GivenUp();
  };
  CHECK_THROWS_AS(sampler.numbers({1, 2}, {.progress = give_up}), GivenUp);
  CHECK(sampler.numbers({5, 6}) ==
        Sampler(device, mixture_denoiser(), plan_of(1e-3), {1, 1, 3}, 2).numbers({5, 6}));
}

TEST_CASE("an image depends on its seed alone with every sampler, in any company and order") {
  Device device({.threads = 2});
  for (const auto& row : Names<SamplerKind>::kTable) {
    CAPTURE(std::string(row.name));
    const SamplerInfo& info = info_of(row.value);
    SamplerOptions o{.sampler = row.value};
    if (info.steps > 0) o.steps = 6;
    for (const bool corrects : {false, true}) {
      if (corrects && (!info.stochastic || row.value == SamplerKind::consistency)) continue;  // no score
      if (corrects) o.corrector = 1;
      const SamplerPlan plan = make_sampler_plan(settle(o, Prediction::edm), Sde());
      const auto drawn = [&](const std::vector<uint64_t>& seeds, int chunk) {
        return Sampler(device, mixture_denoiser(), plan, {2, 2, 3}, chunk).numbers(seeds);
      };
      const std::vector<float> all = drawn({4, uint64_t(1) << 40, 7}, 3), turned = drawn({7, 4}, 8);
      const auto image = [](const std::vector<float>& of, size_t i) {
        return std::vector<float>(of.begin() + ptrdiff_t(12 * i), of.begin() + ptrdiff_t(12 * (i + 1)));
      };
      CHECK(image(turned, 0) == image(all, 2));
      CHECK(image(turned, 1) == image(all, 0));
      CHECK(drawn({uint64_t(1) << 40}, 1) == image(all, 1));
      CHECK(image(all, 0) != image(all, 2));
    }
  }
}

TEST_CASE("rk45: guidance is part of the flow") {
  const auto gaussian = [](double centre) {
    return formula_denoiser(
        [centre](double x, double s) { return centre + (x - centre) * 0.09 / (0.09 + s * s); });
  };
  // A flow keeps (x - centre) / sqrt(.09 + sigma^2).
  const auto flow = [](double x, double centre, double from, double to) {
    return centre + (x - centre) * std::hypot(0.3, to) / std::hypot(0.3, from);
  };
  Device device({.threads = 1});
  // Not one number, whose error can vanish by chance.
  const std::vector<float> z = {-1.5F, -0.7F, 0, 0.2F, 0.8F, 1.3F};
  const auto differs = [&](const Denoiser& d, const std::function<double(double x)>& exact) {
    const std::vector<float> ends =
        Sampler(device, d, plan_of(1e-6), {1, 2, 3}, 1).numbers({0}, {.noise = z.data()});
    double most = 0;
    for (size_t i = 0; i < z.size(); ++i) most = std::max(most, std::abs(ends[i] - exact(80.0 * z[i])));
    return most;
  };
  // D_guide + 2 (D - D_guide) of two Gaussians of one width is that of a third one.
  CHECK(differs(autoguided(gaussian(0.5), gaussian(0.1), {.weight = 2}),
                [&](double x) { return flow(x, 0.9, 80, 0); }) < 1e-4);
  // Above sigma 1 alone: towards .9 there, then towards .5.
  CHECK(differs(autoguided(gaussian(0.5), gaussian(0.1), {.weight = 2, .least = 1}),
                [&](double x) { return flow(flow(x, 0.9, 80, 1), 0.5, 1, 0); }) < 1e-3);
}

TEST_CASE("rk45: a NaN is named, with its sigma") {
  Device device({.threads = 1});
  const Denoiser broken = formula_denoiser([](double x, double s) { return s < 3 ? NAN : 0.1 * x; });
  Sampler sampler(device, broken, plan_of(1e-3), {1, 1, 3}, 2);
  CHECK_THROWS_WITH_AS(sampler.numbers({1, 2}), doctest::Contains("in a step of the sampler rk45 at sigma "),
                       NotFinite);
}

TEST_CASE("a line between the levels of a flow's table is right to f32") {
  for (const Sde& sde : {Sde(), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{267})})
    for (const auto& row : Names<Prediction>::kTable)
      for (const auto& condition : Names<NoiseCondition>::kTable) {
        const Preconditioning p{row.value, condition.value, 0.5};
        const SigmaRange range = edm_range(sde);
        const int count = 1 << 15;
        const double step = std::log(range.most / range.least) / (count - 1);
        for (int i = 0; i < 200; ++i) {
          const double low = range.least * std::exp(step * (160.0 * i + 3)), high = low * std::exp(step);
          const Scaling a = p.at(sde.at_sigma(low)), b = p.at(sde.at_sigma(high)),
                        exact = p.at(sde.at_sigma(std::sqrt(low * high)));
          const auto close = [&](double x, double y, double want) {
            return std::abs((x + y) / 2 - want) <= 6e-8 * (std::abs(want) + 1e-3);
          };
          CHECK(close(a.c_skip, b.c_skip, exact.c_skip));
          CHECK(close(a.c_out, b.c_out, exact.c_out));
          CHECK(close(a.c_in, b.c_in, exact.c_in));
          CHECK(close(a.c_noise, b.c_noise, exact.c_noise));
        }
      }
}

}  // namespace
}  // namespace ito::model
