#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "kernels/base/error.h"
#include "model/diffusion/forward_chain.h"
#include "model/diffusion/sampler_options.h"
#include "plan_runs.h"

using namespace ito;
using namespace ito::model;
using doctest::Approx;
using tests::GaussianRun;
using tests::square;

namespace {

double output_stddev(const SamplerPlan& plan) { return GaussianRun(plan).stddev(); }

double output_stddev(const Sde& sde, int steps, FinalStep final_step) {
  return output_stddev(euler_maruyama_plan(sde, noise_levels(sde, Grid::uniform, steps), final_step));
}

SamplerPlan edm_heun(const Sde& sde, int steps, const Churn& churn = {}) {
  return heun_plan(sde, noise_levels(sde, Grid::karras, steps), churn);
}

/// score_sde's loop: its own grid, but steps of 1/N; the state is x_t itself, the last noise
/// left out.
double repository_stddev(const Sde& sde, int steps, double t_end) {
  double variance = square(sde.prior_stddev());
  const std::vector<double> times = uniform_times(steps, t_end);
  for (double t : times) {
    const NoiseLevel level = sde.at(t);
    const Update u = euler_maruyama(sde, level, 1.0 / steps);
    const double gain = u.a + u.b[0] * tests::gaussian_denoiser(level.sigma) / level.mean;
    variance = square(gain) * variance + (t == times.back() ? 0 : square(u.c));
  }
  return std::sqrt(variance);
}

/// Entries of a discrete chain as levels, in that order.
Levels levels_of(const ForwardChain& chain, const std::vector<int>& entries) {
  Levels levels;
  for (int i : entries) {
    const LinearGaussian& q = chain.marginal(i);
    levels.push_back({double(i) / (chain.size() - 1), q.scale, q.stddev, q.stddev / q.scale});
  }
  return levels;
}

/// Every k-th entry of a chain from the last such one down: DDIM's "uniform" indices.
std::vector<int> every(int k, int n) {
  std::vector<int> entries;
  for (int i = (n - 1) / k * k; i >= 0; i -= k) entries.push_back(i);
  return entries;
}

/// DDIM's program starts at x ~ N(0, 1) whatever the first level's variance is.
SamplerPlan from_unit_noise(SamplerPlan plan) {
  plan.prior_sigma = 1 / plan.stages[0].level.mean;
  return plan;
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
    const Levels levels = noise_levels(sde, Grid::uniform, 50);
    const SamplerPlan plan = euler_maruyama_plan(sde, levels, FinalStep::denoise);
    CHECK(plan.evaluations() == 50);
    CHECK(plan.prior_sigma == sde.at(1).sigma);
    CHECK(plan.stages.front().level.t == 1);
    CHECK(plan.stages.back().level.t == sde.sampling_end());
    const Update& last = plan.stages.back().update;
    CHECK((last.a == 0 && last.b[0] == 1 && last.c == 0));
    const Update noisy = euler_maruyama_plan(sde, levels, FinalStep::noisy).stages.back().update;
    const Update mean = euler_maruyama_plan(sde, levels, FinalStep::mean).stages.back().update;
    CHECK(noisy.c > 0);
    CHECK(mean.c == 0);
    CHECK((noisy.a == mean.a && noisy.b[0] == mean.b[0]));
    for (const Stage& stage : plan.stages) CHECK((stage.noise_before == 0 && !stage.from_start));
  }
  const auto one = noise_levels(Sde(), Grid::uniform, 1);
  CHECK(euler_maruyama_plan(Sde(), one, FinalStep::noisy).evaluations() == 1);
  CHECK_THROWS_AS(noise_levels(Sde(), Grid::uniform, 0), Error);
  CHECK_THROWS_AS(euler_maruyama_plan(Sde(), {}, FinalStep::mean), Error);
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
  const SamplerPlan plan = edm_heun(Sde(), 18);
  CHECK(plan.evaluations() == 35);
  CHECK(plan.prior_sigma == 80);
  const std::vector<double> sigmas = karras_sigmas(18, 0.002, 80);
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    CHECK(plan.stages[i].level.sigma == sigmas[(i + 1) / 2]);
    CHECK(plan.stages[i].from_start == (i % 2 == 1));
    CHECK(plan.stages[i].noise_before == 0);
    CHECK(plan.stages[i].update.c == 0);
  }
  CHECK(edm_range(Sde(Simple{25})).most == Sde(Simple{25}).stddev(1));
  CHECK(edm_range(Sde(Simple{25})).least == 0.002);
  CHECK(edm_range(Sde(Ve{0.01, 50})).least == 0.01);
  CHECK(edm_range(Sde(Vp{})).most == 80);
  CHECK(edm_heun(Sde(), 1).evaluations() == 1);
}

TEST_CASE("churn raises the level and adds exactly the noise of the difference") {
  Churn churn{40, 0.05, 50, 1.003};
  const SamplerPlan plan = edm_heun(Sde(), 256, churn);
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
  churn.amount = 1e9;  // limited to sqrt(2) - 1
  CHECK(edm_heun(Sde(), 256, churn).stages[100].level.sigma / sigmas[50] ==
        Approx(std::sqrt(2.0)).epsilon(1e-14));
  churn.amount = -1;
  CHECK_THROWS_AS(edm_heun(Sde(), 256, churn), Error);
}

TEST_CASE("Gaussian pixels: Heun ends where the probability flow does, with second-order convergence") {
  const double exact = std::sqrt(0.25 / (0.25 + 6400));
  double previous = 0;
  for (int steps : {18, 36, 72, 144}) {
    const double error = std::abs(GaussianRun(edm_heun(Sde(), steps)).gain() / 80 / exact - 1);
    CAPTURE(steps);
    if (previous > 0) CHECK(previous / error > 3.4);
    previous = error;
  }
}

TEST_CASE("Gaussian pixels: reverse diffusion, ancestral sampling and the corrector, as score_sde has them") {
  const Sde ve(Ve{0.01, 90});
  const auto levels = [&](int n) { return noise_levels(ve, Grid::uniform, n); };
  const auto reverse = [&](int n, FinalStep f) { return reverse_diffusion_plan(ve, levels(n), f); };
  CHECK(std::abs(output_stddev(reverse(100, FinalStep::mean)) - .523801) < 1e-6);
  CHECK(std::abs(output_stddev(reverse(1000, FinalStep::mean)) - .502188) < 1e-6);
  CHECK(std::abs(output_stddev(reverse(1000, FinalStep::noisy)) - .502287) < 1e-6);
  CHECK(std::abs(output_stddev(ancestral_plan(ve, levels(100), Variance::small)) - .477778) < 1e-6);
  CHECK(std::abs(output_stddev(ancestral_plan(ve, levels(1000), Variance::small)) - .497631) < 1e-6);
  CHECK(std::abs(output_stddev(with_corrector(reverse(1000, FinalStep::mean), 1, 0.17)) - .507072) < 1e-6);
  const Sde vp{Vp{}};
  const Levels ddpm = levels_of(ForwardChain::vp(), every(1, 1000));
  CHECK(std::abs(output_stddev(ancestral_plan(vp, ddpm, Variance::large)) - .500752) < 1e-6);
}

TEST_CASE("Gaussian pixels: DDIM shrinks the variance of few steps as its own program does") {
  const ForwardChain chain = ForwardChain::vp();
  const auto stddev = [&](int steps, double eta) {
    return output_stddev(from_unit_noise(ddim_plan(levels_of(chain, every(1000 / steps, 1000)), eta)));
  };
  const int steps[] = {10, 20, 50, 100, 1000};
  const double flow[] = {.374128, .433734, .472439, .485981, .498495};
  for (int i = 0; i < 5; ++i) CHECK(std::abs(stddev(steps[i], 0) - flow[i]) < 1e-6);
  CHECK(std::abs(stddev(10, 1) - .333263) < 1e-6);
  CHECK(std::abs(stddev(50, 1) - .444123) < 1e-6);
  CHECK(std::abs(stddev(100, 1) - .468256) < 1e-6);
  CHECK(std::abs(stddev(1000, 1) - .496110) < 1e-6);
  for (const auto& [n, expected] : {std::pair{10, .424521}, {50, .485274}}) {  // its "quadratic" indices
    std::vector<int> entries;
    for (int i = n - 1; i >= 0; --i) {
      const int entry = int(square(std::sqrt(800.0) * i / (n - 1)));
      if (entries.empty() || entries.back() != entry) entries.push_back(entry);
    }
    CHECK(std::abs(output_stddev(from_unit_noise(ddim_plan(levels_of(chain, entries), 0))) - expected) <
          1e-6);
  }
}

TEST_CASE("DDPM's posterior, in its own notation") {
  const ForwardChain chain = ForwardChain::vp();
  const Levels levels = levels_of(chain, {700, 640});
  const double x_t = 1.1, x0 = -0.3, z = 0.8;
  const double abar = chain.alpha_bar(700), next = chain.alpha_bar(640), beta = 1 - abar / next;
  const double mean =
      std::sqrt(next) * beta / (1 - abar) * x0 + std::sqrt(abar / next) * (1 - next) / (1 - abar) * x_t;
  const auto stepped = [&](const Update& u) {  // of x_t
    return (u.a * x_t / levels[0].mean + u.b[0] * x0 + u.c * z) * levels[1].mean;
  };
  CHECK(stepped(ancestral(levels[0].sigma, levels[1].sigma, 1)) ==
        Approx(mean + std::sqrt(beta * (1 - next) / (1 - abar)) * z).epsilon(1e-12));
  CHECK(stepped(ancestral_large(levels[0], levels[1])) == Approx(mean + std::sqrt(beta) * z).epsilon(1e-12));
  const double score = (std::sqrt(abar) * x0 - x_t) / (1 - abar);
  CHECK(stepped(reverse_diffusion(levels[0], levels[1], true)) ==
        Approx((2 - std::sqrt(1 - beta)) * x_t + beta * score + std::sqrt(beta) * z).epsilon(1e-12));
}

TEST_CASE("a corrector of snr 0 moves nothing, and samplers that cannot have one say so") {
  const Sde vp{Vp{}};
  const SamplerPlan plan = ancestral_plan(vp, noise_levels(vp, Grid::uniform, 20), Variance::small);
  const SamplerPlan corrected = with_corrector(plan, 2, 0);
  CHECK(corrected.evaluations() == 60);
  CHECK(output_stddev(corrected) == output_stddev(plan));
  CHECK(corrected.stages[3].langevin.alpha ==
        Approx(square(plan.stages[1].level.mean / plan.stages[2].level.mean)).epsilon(1e-14));
  CHECK_THROWS_AS(with_corrector(edm_heun(Sde(), 4), 1, 0.1), Error);
  CHECK_THROWS_AS(with_corrector(plan, -1, 0.1), Error);
}

TEST_CASE("grids: ends, order, spacing, any number of steps") {
  for (const Sde& sde : {Sde(), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{}), Sde(NoiseTable())})
    for (const Named<Grid>& row : Names<Grid>::kTable)
      for (int n : {1, 2, 3, 7, 30, 999, 1000, 1500}) {
        if (is_of_table(row.value)) continue;
        CAPTURE(std::string(row.name));
        CAPTURE(n);
        const Levels levels = noise_levels(sde, row.value, n);
        REQUIRE(int(levels.size()) == n);
        const bool whole =
            row.value == Grid::uniform || row.value == Grid::quadratic || row.value == Grid::log_snr;
        const SigmaRange range = edm_range(sde);
        CHECK(levels[0].sigma == Approx(whole ? sde.at(1).sigma : range.most).epsilon(1e-12));
        if (n > 1)
          CHECK(levels.back().sigma ==
                Approx(whole ? sde.at(sde.sampling_end()).sigma : range.least).epsilon(1e-9));
        bool falls = true;
        for (size_t i = 1; i < levels.size(); ++i) falls &= levels[i].sigma < levels[i - 1].sigma;
        CHECK(falls);
      }
  const Levels quadratic = noise_levels(Sde(Vp{}), Grid::quadratic, 5);
  CHECK(std::sqrt(quadratic[1].t) - std::sqrt(quadratic[2].t) ==
        Approx(std::sqrt(quadratic[3].t) - std::sqrt(quadratic[4].t)).epsilon(1e-12));
  const Levels karras = noise_levels(Sde(), Grid::karras, 5, {.rho = 3});
  CHECK(std::cbrt(karras[0].sigma) - std::cbrt(karras[1].sigma) ==
        Approx(std::cbrt(karras[3].sigma) - std::cbrt(karras[4].sigma)).epsilon(1e-12));
  const Levels exponential = noise_levels(Sde(), Grid::exponential, 5);
  CHECK(exponential[0].sigma / exponential[1].sigma ==
        Approx(exponential[3].sigma / exponential[4].sigma).epsilon(1e-12));
}

TEST_CASE("what samplers need of the SDE and of their numbers") {
  const Sde sub_vp{SubVp{}};
  const Levels levels = noise_levels(sub_vp, Grid::uniform, 4);
  CHECK_THROWS_AS(reverse_diffusion_plan(sub_vp, levels, FinalStep::mean), Error);
  CHECK_THROWS_AS(ancestral_plan(Sde(), noise_levels(Sde(), Grid::uniform, 4), Variance::large), Error);
  CHECK_THROWS_AS(ddim_plan(levels, 1.5), Error);
  CHECK_THROWS_AS(ddim_plan({levels[2], levels[1]}, 0), Error);
  CHECK_THROWS_AS(dpm_solver_plan({levels[2], levels[1]}, {}), Error);
  CHECK_THROWS_AS(unipc_plan({}, {}), Error);
}

TEST_CASE("coefficients for the kernel") {
  Update u;
  CHECK(u.terms() == 0);
  u.a = 0.1, u.b[1] = 0.2, u.c = 0.3;
  CHECK(u.terms() == 2);
  kernels::SdeStep step;
  u.write_to(step);
  CHECK((step.a == 0.1f && step.b[0] == 0 && step.b[1] == 0.2f && step.b[2] == 0 && step.c == 0.3f));
}
