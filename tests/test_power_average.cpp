#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "engine/checkpoint.h"
#include "kernels/power_ema.h"
#include "model/training/checkpoint.h"
#include "model/training/power_average.h"
#include "tests/kernel_arrays.h"
#include "tests/network_problem.h"
#include "tests/small_run.h"

/// Averages of weights whose length is chosen afterwards, against those that a run would have kept.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using kernels::CpuStream;
using kernels::PowerEma;
using kernels::StepState;
using test::Array;
using tests::SmallRun, tests::TempFolder;

TEST_CASE("relative widths and exponents belong together") {
  CHECK(kernels::power_gamma(0.05) == doctest::Approx(16.97).epsilon(1e-3));  // arXiv:2312.02696
  CHECK(kernels::power_gamma(0.10) == doctest::Approx(6.94).epsilon(1e-3));
  for (const double width : {0.01, 0.05, 0.1, 0.2, 0.28}) {
    const double gamma = kernels::power_gamma(width);
    CHECK(power_width(gamma) == doctest::Approx(width).epsilon(1e-12));
    // The deviation of t^gamma on [0, 1], by sums.
    double all = 0, mean = 0, square = 0;
    for (int i = 0; i < 1000000; ++i) {
      const double t = (i + 0.5) / 1e6, p = std::pow(t, gamma);
      all += p, mean += p * t, square += p * t * t;
    }
    CHECK(std::sqrt(square / all - mean / all * mean / all) == doctest::Approx(width).epsilon(1e-6));
  }
  for (const double bad : {0.0, -1.0, 0.289, double(NAN)}) CHECK_THROWS_AS(kernels::power_gamma(bad), Error);
}

TEST_CASE("the product of two profiles is the integral of their product") {
  for (const auto& [a, b] :
       {std::pair(PowerProfile{1, 2.5}, PowerProfile{1, 7}), {{0.4, 3}, {1, 6}}, {{1, 6}, {0.4, 3}}}) {
    double sum = 0;
    const int n = 1000000;
    for (int i = 0; i < n; ++i) {
      const double t = (i + 0.5) / n;
      const auto at = [t](const PowerProfile& p) {
        return t > p.t ? 0 : (p.gamma + 1) / p.t * std::pow(t / p.t, p.gamma);
      };
      sum += at(a) * at(b) / n;
    }
    CHECK(product_of(a, b) == doctest::Approx(sum).epsilon(1e-5));
  }
}

TEST_CASE("power_ema follows f64, copies at first, and leaves skipped steps out") {
  const size_t count = 16384 + 5;
  CpuStream one(1), two(2);
  const PowerEma ema{{kernels::power_gamma(0.05), kernels::power_gamma(0.10)}};
  Array<float> first(count), second(count), other(count), another(count);  // NaN
  std::vector<double> want[2];
  for (int step = 1; step <= 30; ++step) {
    const Array<float> w(test::normals(count, uint64_t(step)));
    StepState state{.updates = uint64_t(step)};
    kernels::power_ema(one, int64_t(count), ema, &state, {w.data(), {first.data(), second.data()}});
    kernels::power_ema(two, int64_t(count), ema, &state, {w.data(), {other.data(), another.data()}});
    for (int k = 0; k < 2; ++k) {
      const double beta = std::pow(1 - 1.0 / step, ema.gamma[k] + 1);
      if (step == 1) want[k] = w.values();
      for (size_t i = 0; i < count; ++i) want[k][i] = beta * want[k][i] + (1 - beta) * w[i];
    }
    state.skipped = 1;
    kernels::power_ema(one, int64_t(count), ema, &state, {w.data(), {first.data(), second.data()}});
  }
  // A rounding or two a step, of numbers of up to 5.
  test::check_close(first, want[0], 0, 5 * 4 * test::epsilon<float>());
  test::check_close(second, want[1], 0, 5 * 4 * test::epsilon<float>());
  CHECK((first.same_bits(other) && second.same_bits(another)));
  CHECK((first.guards_intact() && second.guards_intact()));
  CHECK_THROWS_AS(kernels::power_ema(one, 0, ema, nullptr, {}), Error);
}

/// A weight's course: fast at first, slower later.
double weight_at(double t) { return std::sin(9 * std::sqrt(t)) + 0.3 * t; }

TEST_CASE("any average of a course is that of its saved averages, at any time") {
  const int steps = 4096, every = 16;
  const PowerEma ema{{kernels::power_gamma(0.05), kernels::power_gamma(0.10)}};
  std::vector<PowerProfile> profiles;
  std::vector<double> values;
  double average[2] = {};
  for (int t = 1; t <= steps; ++t) {
    for (int k = 0; k < 2; ++k) average[k] += ema.rest(k, t) * (weight_at(t / double(steps)) - average[k]);
    if (t % every) continue;
    for (int k = 0; k < 2; ++k) profiles.push_back({double(t), ema.gamma[k]}), values.push_back(average[k]);
  }
  for (const int end : {steps, steps / 2})
    for (const double width : {0.03, 0.05, 0.075, 0.1, 0.15}) {
      CAPTURE(end);
      CAPTURE(width);
      const PowerEma wanted{{kernels::power_gamma(width), 1}};
      double direct = 0, made = 0;
      for (int t = 1; t <= end; ++t) direct += wanted.rest(0, t) * (weight_at(t / double(steps)) - direct);
      std::vector<PowerProfile> before(profiles.begin(), profiles.begin() + 2 * (end / every));
      const std::vector<double> weights = weights_of_profiles(before, {double(end), wanted.gamma[0]});
      for (size_t i = 0; i < weights.size(); ++i) made += weights[i] * values[i];
      CHECK(std::abs(made - direct) < (end == steps ? 1e-7 : 5e-7));
    }
}

TEST_CASE("a run keeps two averages, goes on exactly, and any other is made of them") {
  SmallRun run;
  run.options.power_ema = true;
  run.options.learn_weighting = true;  // whose numbers are no part of an average
  run.options.save_every = 2;
  set_steps(run.options, 12);
  const TempFolder place;
  CHECK(run.train(place / "straight").finished);
  CHECK_FALSE(run.train_until(5, place / "broken").finished);
  CHECK(run.train(place / "broken").finished);
  CHECK(tests::contents_of(place / "broken/power_ema") == tests::contents_of(place / "straight/power_ema"));
  CHECK(tests::contents_of(place / "broken/checkpoints") ==
        tests::contents_of(place / "straight/checkpoints"));

  engine::Device device({1, engine::Backend::cpu});
  const fs::path folder = place / "straight/power_ema", last = place / "straight/checkpoints/last";
  const LoadedModel model = load_model(device, last);
  CHECK(saved_power_averages(folder) == std::vector<int64_t>{2, 4, 6, 8, 10, 12});
  CHECK(updates_of(last) == 12);
  load_power_average(folder, 0.1, 12, *model.store);
  const engine::PowerAverages saved =
      engine::read_power_averages(folder / "step-00000012.safetensors", *model.store);
  // Of a width that is saved: itself.
  double worst = 0;
  for (int64_t i = 0; i < model.store->flat_count(); ++i)
    worst = std::max(worst, std::abs(double(model.store->master()[i]) - double(saved.average[1][size_t(i)])));
  CHECK(worst < 1e-6);
  save_model(place / "made", model);
  CHECK(load_model(device, place / "made").step == 12);
  CHECK(tests::error_of([&] { updates_of(place / "made"); }).find("no state") != std::string::npos);
  const auto refused = [&](const fs::path& of, double width, int64_t updates, const char* text) {
    CHECK(tests::error_of([&] { load_power_average(of, width, updates, *model.store); }).find(text) !=
          std::string::npos);
  };
  refused(folder, 0.1, 7, "no averages after 7 updates, but after 2, 4, 6, 8, 10, 12");
  refused(folder, 0.1, 1000, "no averages after 1000 updates");
  refused(folder, 0.25, 12, "too few for a relative width of 0.25");
  refused(folder, 0.01, 12, "too few for a relative width of 0.01");
  refused(place / "none", 0.1, 12, "nor any others");
}

TEST_CASE("averages of a history that a run no longer has are removed") {
  SmallRun run;
  run.options.power_ema = true;
  run.options.save_every = 2;
  set_steps(run.options, 8);
  const TempFolder place;
  CHECK(run.train(place / "run").finished);
  fs::remove_all(place / "run/checkpoints");
  std::ofstream(place / "run/power_ema/.half-written") << "x";
  set_steps(run.options, 4);
  CHECK(run.train(place / "run").finished);
  CHECK(saved_power_averages(place / "run/power_ema") == std::vector<int64_t>{2, 4});
  CHECK_FALSE(fs::exists(place / "run/power_ema/.half-written"));
  set_steps(run.options, 8);
  CHECK(run.train(place / "run").finished);
  CHECK(saved_power_averages(place / "run/power_ema") == std::vector<int64_t>{2, 4, 6, 8});
}

}  // namespace
}  // namespace ito::model
