#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/base/error.h"
#include "model/diffusion/sampler_plan.h"
#include "model/diffusion/schedule.h"

using namespace ito;
using namespace ito::model;
using doctest::Approx;

namespace {

double square(double x) { return x * x; }

/// D for pixels N(0, .25) is this times xbar.
double gaussian_denoiser(double sigma) { return 0.25 / (0.25 + sigma * sigma); }

/// What a plan makes of pixels N(0, .25) with the exact denoiser, the state being linear in what it started
/// from: the gain from there, and the variance of all noise added since.
struct Outcome {
  double gain = 1, noise_variance = 0;
};

/// Valid for plans whose noise does not enter a two-stage step (Euler-Maruyama, Heun without churn).
Outcome run_on_gaussian(const SamplerPlan& plan) {
  Outcome x, start;
  double previous = 0;  // D_1 as a multiple of the original state
  for (const Stage& stage : plan.stages) {
    REQUIRE(stage.noise_before == 0);
    if (!stage.from_start) start = x;
    const double denoised = gaussian_denoiser(stage.level.sigma) * x.gain;
    const double of_start = stage.update.a + stage.update.b[0] * gaussian_denoiser(stage.level.sigma);
    x.gain = stage.update.a * start.gain + stage.update.b[0] * denoised + stage.update.b[1] * previous;
    x.noise_variance = square(of_start) * start.noise_variance + square(stage.update.c);
    previous = denoised;
  }
  return x;
}

double output_stddev(const SamplerPlan& plan) {
  const Outcome x = run_on_gaussian(plan);
  return std::sqrt(square(x.gain * plan.prior_sigma) + x.noise_variance);
}

double output_stddev(const Sde& sde, int steps, FinalStep final_step) {
  EulerMaruyamaOptions o;
  o.steps = steps, o.final_step = final_step;
  return output_stddev(euler_maruyama_plan(sde, o));
}

/// score_sde's loop: its own grid, but steps of 1/N; the state is x_t itself, the last noise
/// left out.
double repository_stddev(const Sde& sde, int steps, double t_end) {
  double variance = square(sde.prior_stddev());
  const std::vector<double> times = uniform_times(steps, t_end);
  for (double t : times) {
    const NoiseLevel level = sde.at(t);
    const Update u = euler_maruyama(sde, level, 1.0 / steps);
    const double gain = u.a + u.b[0] * gaussian_denoiser(level.sigma) / level.mean;
    variance = square(gain) * variance + (t == times.back() ? 0 : square(u.c));
  }
  return std::sqrt(variance);
}

/// Three Gaussians on a line, as "images" of one pixel: the exact D, and the exact probability flow. In one
/// dimension the flow keeps every point's quantile, so the point that is at x at level sigma ends where
/// the data's quantile is.
struct Mixture {
  double weight[3] = {0.3, 0.5, 0.2}, centre[3] = {-0.7, 0.1, 0.8}, stddev[3] = {0.1, 0.2, 0.05};

  double denoise(double x, double sigma) const {
    double total = 0, sum = 0;
    for (int k = 0; k < 3; ++k) {
      const double own = square(stddev[k]), variance = own + sigma * sigma;
      const double density =
          weight[k] / std::sqrt(variance) * std::exp(-0.5 * square(x - centre[k]) / variance);
      total += density;
      sum += density * (centre[k] + own / variance * (x - centre[k]));
    }
    return sum / total;
  }
  double quantile(double x, double sigma) const {
    double p = 0;
    for (int k = 0; k < 3; ++k)
      p += weight[k] * 0.5 * std::erfc((centre[k] - x) / std::sqrt(2 * (square(stddev[k]) + sigma * sigma)));
    return p;
  }
  double point_at(double p, double sigma) const {
    double low = -10 * (1 + sigma), high = 10 * (1 + sigma);
    for (int i = 0; i < 200; ++i) (quantile(0.5 * (low + high), sigma) < p ? low : high) = 0.5 * (low + high);
    return 0.5 * (low + high);
  }
};

/// One noise-free plan on one number.
template <class Denoiser>
double run(const SamplerPlan& plan, double x, Denoiser denoise) {
  double start = x, previous = 0;
  for (const Stage& stage : plan.stages) {
    if (!stage.from_start) start = x;
    const double denoised = denoise(x, stage.level.sigma);
    x = stage.update.a * start + stage.update.b[0] * denoised + stage.update.b[1] * previous;
    previous = denoised;
  }
  return x;
}

}  // namespace

TEST_CASE("Euler-Maruyama's coefficients are x - [f x - g^2 score] dt + g sqrt(dt) z, for every SDE") {
  const double x = 1.3, D = -0.2, z = 0.7, dt = 0.004;
  for (const Sde& sde : {Sde(), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{})})
    for (double t : {0.01, 0.4, 1.0}) {
      const NoiseLevel level = sde.at(t);
      const double f = sde.drift(t), g = sde.diffusion(t);
      const double score = (sde.mean(t) * D - x) / square(sde.stddev(t));
      const double expected = x - (f * x - g * g * score) * dt + g * std::sqrt(dt) * z;
      const Update u = euler_maruyama(sde, level, dt);
      CHECK(u.terms() == 1);
      CHECK(u.a * x + u.b[0] * D + u.c * z == Approx(expected).epsilon(1e-13));
      // The same step on x / a, as plans have it.
      const double next = sde.mean(t - dt);
      const Update r = rescaled(u, level.mean, next);
      CHECK(r.a * x / level.mean + r.b[0] * D + r.c * z == Approx(expected / next).epsilon(1e-13));
      CHECK_THROWS_AS(euler_maruyama(sde, level, -dt), Error);
    }
}

TEST_CASE("Gaussian pixels: Euler-Maruyama's output deviation, the tutorial's grid") {
  const Sde sde(Simple{25});
  const int steps[] = {250, 500, 1000, 5000};
  const double expected[] = {.494954, .497982, .499492, .500699};
  for (int i = 0; i < 4; ++i)
    CHECK(std::abs(output_stddev(sde, steps[i], FinalStep::mean) - expected[i]) < 1e-6);
}

TEST_CASE("Gaussian pixels: Euler-Maruyama's output deviation, score_sde's steps of 1/N") {
  CHECK(std::abs(repository_stddev(Sde(Ve{0.01, 90}), 100, 1e-5) - .503085) < 1e-6);
  CHECK(std::abs(repository_stddev(Sde(Ve{0.01, 90}), 1000, 1e-5) - .500350) < 1e-6);
  CHECK(std::abs(repository_stddev(Sde(Vp{}), 1000, 1e-3) - .500233) < 1e-6);
  CHECK(std::abs(repository_stddev(Sde(SubVp{}), 1000, 1e-3) - .500398) < 1e-6);
}

TEST_CASE("Gaussian pixels: 1000 steps and the final denoising, every SDE") {
  // Denoised, N(0, P) shrinks to s^2 / sqrt(P); what remains of .5 is the discretisation's error, O(1/N).
  for (const Sde& sde :
       {Sde(), Sde(Ve{0.01, 90}), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{25}), Sde(Simple{267})}) {
    CAPTURE(sde.equations().index());
    const double sigma = sde.at(sde.sampling_end()).sigma;
    const double exact = 0.25 / std::sqrt(0.25 + square(sigma));
    const double coarse = output_stddev(sde, 1000, FinalStep::denoise) - exact;
    const double fine = output_stddev(sde, 4000, FinalStep::denoise) - exact;
    CHECK((coarse > 0 && coarse < 6e-4));
    CHECK(coarse / fine > 3.8);  // at least first order; VE's noise and score errors cancel to second
  }
}

TEST_CASE("Euler-Maruyama's plan: grid, prior, levels, the three final steps") {
  for (const Sde& sde : {Sde(), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{})}) {
    EulerMaruyamaOptions o;
    o.steps = 50;
    const SamplerPlan plan = euler_maruyama_plan(sde, o);
    CHECK(plan.evaluations() == 50);
    CHECK(plan.prior_sigma == sde.prior_stddev() / sde.mean(1));
    CHECK(plan.stages.front().level.t == 1);
    CHECK(plan.stages.back().level.t == sde.sampling_end());
    const Update& last = plan.stages.back().update;
    CHECK((last.a == 0 && last.b[0] == 1 && last.c == 0));
    o.final_step = FinalStep::noisy;
    const Update noisy = euler_maruyama_plan(sde, o).stages.back().update;
    o.final_step = FinalStep::mean;
    const Update mean = euler_maruyama_plan(sde, o).stages.back().update;
    CHECK(noisy.c > 0);
    CHECK(mean.c == 0);
    CHECK((noisy.a == mean.a && noisy.b[0] == mean.b[0]));
    for (const Stage& stage : plan.stages) CHECK((stage.noise_before == 0 && !stage.from_start));
  }
  EulerMaruyamaOptions one;
  one.steps = 1;
  CHECK(euler_maruyama_plan(Sde(), one).evaluations() == 1);
  one.steps = 0;
  CHECK_THROWS_AS(euler_maruyama_plan(Sde(), one), Error);
}

TEST_CASE("Heun's two halves are algorithm 1's lines") {
  const double x = 2.1, D = 0.4, from = 3, to = 1.7;
  const double d = (x - D) / from, y = x + (to - from) * d;
  const Update first = flow_euler(from, to);
  CHECK(first.a * x + first.b[0] * D == Approx(y).epsilon(1e-14));
  const double D_at_y = -0.3, slope = (y - D_at_y) / to;
  const Update second = flow_heun(from, to);
  CHECK(second.terms() == 2);
  CHECK(second.a * x + second.b[0] * D_at_y + second.b[1] * D ==
        Approx(x + (to - from) * 0.5 * (d + slope)).epsilon(1e-14));
  const Update last = flow_euler(0.002, 0);
  CHECK((last.a == 0 && last.b[0] == 1));
  CHECK_THROWS_AS(flow_heun(0.002, 0), Error);
}

TEST_CASE("Heun's plan: evaluations, levels, range by SDE") {
  const SamplerPlan plan = heun_plan(Sde(), heun_options(Sde(), 18));
  CHECK(plan.evaluations() == 35);
  CHECK(plan.prior_sigma == 80);
  const std::vector<double> sigmas = karras_sigmas(18, 0.002, 80);
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    CHECK(plan.stages[i].level.sigma == sigmas[(i + 1) / 2]);
    CHECK(plan.stages[i].from_start == (i % 2 == 1));
    CHECK(plan.stages[i].noise_before == 0);
    CHECK(plan.stages[i].update.c == 0);
  }
  CHECK(heun_options(Sde(Simple{25})).sigma_max == Sde(Simple{25}).stddev(1));
  CHECK(heun_options(Sde(Simple{25})).sigma_min == 0.002);
  CHECK(heun_options(Sde(Ve{0.01, 50})).sigma_min == 0.01);
  CHECK(heun_options(Sde(Vp{})).sigma_max == 80);
  CHECK(heun_plan(Sde(), heun_options(Sde(), 1)).evaluations() == 1);
}

TEST_CASE("churn raises the level and adds exactly the noise of the difference") {
  HeunOptions o;
  o.steps = 256, o.churn = 40, o.churn_min = 0.05, o.churn_max = 50, o.churn_noise = 1.003;
  const SamplerPlan plan = heun_plan(Sde(), o);
  const std::vector<double> sigmas = karras_sigmas(256, 0.002, 80);
  int churned = 0;
  size_t at = 0;
  for (size_t i = 0; i < 256; ++i) {
    const Stage& stage = plan.stages[at];
    const bool inside = sigmas[i] >= 0.05 && sigmas[i] <= 50;
    const double expected = sigmas[i] * (inside ? 1 + 40.0 / 256 : 1);
    CHECK(stage.level.sigma == Approx(expected).epsilon(1e-15));
    CHECK(square(stage.noise_before / 1.003) == Approx(square(expected) - square(sigmas[i])).epsilon(1e-12));
    churned += inside;
    at += i + 1 < 256 ? 2 : 1;
  }
  CHECK(at == plan.stages.size());
  CHECK((churned > 100 && churned < 256));
  o.churn = 1e9;  // limited to sqrt(2) - 1
  CHECK(heun_plan(Sde(), o).stages[100].level.sigma / sigmas[50] == Approx(std::sqrt(2.0)).epsilon(1e-14));
  o.churn = -1;
  CHECK_THROWS_AS(heun_plan(Sde(), o), Error);
}

TEST_CASE("Gaussian pixels: Heun ends where the probability flow does, with second-order convergence") {
  const double exact = std::sqrt(0.25 / (0.25 + 6400));
  double previous = 0;
  for (int steps : {18, 36, 72, 144}) {
    const double error =
        std::abs(run_on_gaussian(heun_plan(Sde(), heun_options(Sde(), steps))).gain / exact - 1);
    CAPTURE(steps);
    if (previous > 0) CHECK(previous / error > 3.4);
    previous = error;
  }
}

TEST_CASE("Heun converges with order 2 to the exact flow of a Gaussian mixture") {
  const Mixture mixture;
  double previous = 0;
  // The last step, from sigma_min to 0, is Euler's: it costs sigma_min^2 / (2 .05^2) of a narrow component's
  // width.
  for (int steps : {32, 64, 128, 256, 512}) {
    HeunOptions o;
    o.steps = steps, o.sigma_min = 2e-4;
    const SamplerPlan plan = heun_plan(Sde(), o);
    double worst = 0;
    for (double p = 0.025; p < 1; p += 0.05) {
      const double end =
          run(plan, mixture.point_at(p, 80), [&](double x, double s) { return mixture.denoise(x, s); });
      worst = std::max(worst, std::abs(end - mixture.point_at(p, 0)));
    }
    CAPTURE(steps);
    if (previous > 0) CHECK(previous / worst > 3.8);
    previous = worst;
  }
}

TEST_CASE("samplers and final steps by name; coefficients for the kernel") {
  CHECK(make_sampler_plan({SamplerKind::heun, 18}, Sde()).evaluations() == 35);
  CHECK(make_sampler_plan({SamplerKind::euler_maruyama, 1000}, Sde(Vp{})).evaluations() == 1000);
  CHECK_THROWS_WITH_AS(parse_name<SamplerKind>("huen"),
                       "unknown sampler \"huen\"; did you mean \"heun\"? Known: euler-maruyama, heun", Error);
  for (FinalStep f : {FinalStep::denoise, FinalStep::mean, FinalStep::noisy})
    CHECK(parse_name<FinalStep>(name_of(f)) == f);
  Update u;
  CHECK(u.terms() == 0);
  u.a = 0.1, u.b[1] = 0.2, u.c = 0.3;
  CHECK(u.terms() == 2);
  kernels::SdeStep step;
  u.write_to(step);
  CHECK((step.a == 0.1f && step.b[0] == 0 && step.b[1] == 0.2f && step.b[2] == 0 && step.c == 0.3f));
}
