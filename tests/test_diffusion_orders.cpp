#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/parallel.h"
#include "kernels/base/philox.h"
#include "model/diffusion/samplers.h"
#include "model/diffusion/schedule.h"
#include "plan_runs.h"

/// How fast the samplers converge, on a mixture of Gaussians whose flow and moments are known.
using namespace ito;
using namespace ito::model;
using namespace ito::tests;

namespace {

using Plan = std::function<SamplerPlan(const Levels&)>;

const Mixture kMixture;

double denoise(double x, double sigma) { return kMixture.denoise(x, sigma); }

/// The largest distance to the flow's end, over the distribution. As every plan ends with D at the last level, that is
/// what the flow is followed to: the distance is the steps' error alone.
double flow_error(const Plan& plan, int steps, Grid grid = Grid::karras) {
  const Levels levels = noise_levels(Sde(), grid, steps);
  const SamplerPlan made = plan(levels);
  double worst = 0;
  for (double p = 0.025; p < 1; p += 0.05) {
    const double last = levels.back().sigma, exact = denoise(kMixture.point_at(p, last), last);
    worst = std::max(worst, std::abs(run_plan(made, kMixture.point_at(p, levels[0].sigma), denoise) - exact));
  }
  return worst;
}

SamplerPlan dpm(const Levels& levels, int order, double eta = 0) {
  return dpm_solver_plan(levels, {order, eta, false});
}
SamplerPlan unipc(const Levels& levels, int order) { return unipc_plan(levels, {order, 0, false}); }

}  // namespace

TEST_CASE(
    "samplers of the probability flow converge with their order to the exact flow of a Gaussian mixture") {
  struct Row {
    std::string name;
    Plan plan;
    double ratio;   // of the errors at 128 and 512 steps, at least; 4, 16, 64, 256 for the orders 1 to 4
    double at_128;  // the error at 128 steps, at most
  };
  const Row rows[] = {
      {"euler", [](const Levels& l) { return euler_plan(Sde(), l, {}); }, 3.8, 0.02},
      {"heun", [](const Levels& l) { return heun_plan(Sde(), l, {}); }, 15, 8e-4},
      {"dpm++2m", [](const Levels& l) { return dpm(l, 2); }, 15, 1e-3},
      {"dpm++3m", [](const Levels& l) { return dpm(l, 3); }, 16, 3e-4},
      {"unipc 2", [](const Levels& l) { return unipc(l, 2); }, 60, 2e-4},
      {"unipc 3", [](const Levels& l) { return unipc(l, 3); }, 130, 1.6e-5},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const double coarse = flow_error(row.plan, 128), fine = flow_error(row.plan, 512);
    CHECK(coarse < row.at_128);
    CHECK(coarse / fine > row.ratio);
  }
}

TEST_CASE("DDIM without noise is Euler's method, on any grid") {
  for (const Named<Grid>& row : Names<Grid>::kTable) {
    const Sde sde = is_of_table(row.value) ? Sde(NoiseTable()) : Sde(Vp{});
    const Levels levels = noise_levels(sde, row.value, 12);
    const SamplerPlan a = ddim_plan(levels, 0), b = euler_plan(sde, levels, {});
    for (size_t i = 0; i < levels.size(); ++i) {
      CHECK(a.stages[i].update.a == doctest::Approx(b.stages[i].update.a).epsilon(1e-14));
      CHECK(a.stages[i].update.b[0] == doctest::Approx(b.stages[i].update.b[0]).epsilon(1e-12));
      CHECK(a.stages[i].update.c == 0);
    }
  }
}

TEST_CASE("any number of steps: all weights are finite, and sum to 1 with the state's") {
  for (int steps : {1, 2, 3, 7, 30, 999, 1000, 1500}) {
    const Levels levels = noise_levels(Sde(), Grid::karras, steps);
    for (const SamplerPlan& plan : {dpm(levels, 2), dpm(levels, 3), dpm(levels, 3, 1), unipc(levels, 2),
                                    unipc(levels, 3), ddim_plan(levels, 0.5)}) {
      CAPTURE(steps);
      REQUIRE(plan.evaluations() == steps);
      bool good = true;
      for (const Stage& stage : plan.stages) {
        double sum = stage.update.a;
        for (double b : stage.update.b) sum += b;
        good &= std::abs(sum - 1) < 1e-9 && std::isfinite(stage.update.c);  // D = x moves nothing but noise
      }
      CHECK(good);
      CHECK(plan.stages.back().update.terms() == 1);
      CHECK(plan.stages.back().update.a == 0);
    }
  }
}

TEST_CASE("lower orders at the end, as diffusers has them") {
  const Levels levels = noise_levels(Sde(), Grid::karras, 12);
  const auto terms = [&](const SamplerPlan& plan) {
    std::vector<int> result;
    for (const Stage& stage : plan.stages) result.push_back(stage.update.terms());
    return result;
  };
  CHECK(terms(dpm(levels, 3)) == std::vector<int>{1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1});
  CHECK(terms(dpm_solver_plan(levels, {3, 0, true})) == std::vector<int>{1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 2, 1});
  CHECK(terms(dpm_solver_plan(noise_levels(Sde(), Grid::karras, 15), {3, 0, true}))[13] == 3);
  CHECK(terms(unipc(levels, 3)) == std::vector<int>{1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 1});
}

TEST_CASE("samplers of the reverse SDE have the mixture's moments") {
  const double mean = 0.3 * -0.7 + 0.5 * 0.1 + 0.2 * 0.8;
  double variance = 0;
  for (int k = 0; k < 3; ++k)
    variance += kMixture.weight[k] * (square(kMixture.stddev[k]) + square(kMixture.centre[k] - mean));
  struct Row {
    std::string name;
    SamplerPlan plan;
    double bias;  // of the deviation, by the steps' length, at most
  };
  const Levels few = noise_levels(Sde(), Grid::karras, 100), many = noise_levels(Sde(), Grid::uniform, 300);
  const Row rows[] = {
      {"euler-maruyama", euler_maruyama_plan(Sde(), many, FinalStep::denoise), 0.01},
      {"reverse-diffusion", reverse_diffusion_plan(Sde(), many, FinalStep::denoise), 0.02},
      {"ancestral", ancestral_plan(Sde(), many, Variance::small), 0.03},
      {"ddim, eta 0.5", ddim_plan(many, 0.5), 0.03},
      {"euler-ancestral", ddim_plan(few, 1), 0.06},
      {"dpm++2m-sde", dpm(few, 2, 1), 0.01},
      {"dpm++3m-sde", dpm(few, 3, 1), 0.01},
      {"heun with churn", heun_plan(Sde(), few, {30, 0.05, 50, 1}), 0.01},
  };
  constexpr int kPaths = 100000;
  std::vector<double> ends(kPaths);
  for (const Row& row : rows) {
    parallel_for(kPaths, thread_count(0), [&](size_t path) {
      uint32_t drawn = 0;
      const auto normal = [&] {
        return double(random_normal({uint64_t(path), Purpose::test, 0, 0}, drawn++));
      };
      ends[path] = run_plan(row.plan, row.plan.prior_sigma * normal(), denoise, normal);
    });
    double sum = 0, squares = 0;
    for (const double x : ends) sum += x, squares += x * x;
    const double got_mean = sum / kPaths, got = std::sqrt(squares / kPaths - square(got_mean));
    CAPTURE(row.name);
    CAPTURE(got / std::sqrt(variance) - 1);
    CHECK(std::abs(got_mean - mean) < 4 * std::sqrt(variance / kPaths) + 0.01);
    CHECK(std::abs(got / std::sqrt(variance) - 1) < row.bias + 4 * 0.7 / std::sqrt(double(kPaths)));
  }
}
