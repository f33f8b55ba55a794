#include <doctest/doctest.h>

#include <cmath>

#include "engine/ops.h"
#include "model/diffusion/consistency.h"
#include "model/diffusion/sampler.h"
#include "model/training/batch_loss.h"
#include "model/training/checkpoint.h"
#include "model/training/fine_tuning.h"
#include "tests/small_run.h"

/// Consistency tuning: pairs of levels, what they teach, a whole run, and drawing with its model.
namespace ito::model {
namespace {

using namespace tests;
using engine::DType;

double square(double x) { return x * x; }

TEST_CASE("the lower level: the published schedule at q = 2, k = 8, b = 1") {
  const ConsistencyOptions o;
  // 1 / (1 + e) = .268941421, 1 / (1 + e^2) = .119202922
  CHECK(lower_level(o, 0, 1) == 0);
  CHECK(lower_level(o, 0, 2) == doctest::Approx(2 * (1 - 0.5 * (1 + 8 * 0.119202922))).epsilon(1e-8));
  CHECK(lower_level(o, 0, 80) == doctest::Approx(40).epsilon(1e-12));
  CHECK(lower_level(o, 2, 1) == doctest::Approx(1 - (1 + 8 * 0.268941421) / 8).epsilon(1e-8));
  CHECK(lower_level(o, 7, 1) == doctest::Approx(1 - (1 + 8 * 0.268941421) / 256).epsilon(1e-8));
  // In stage 0 r is above 0 where 8 / (1 + e^sigma) < 1, beyond sigma = ln 7: of levels drawn with ln sigma ~
  // N(-1.1, 2^2) that is a share of .1887. From stage 2 on r is above 0 for all.
  const NoiseLevelDraw draw{LevelDraw::log_normal, -1.1, 2.0};
  int above = 0;
  constexpr int kDraws = 4000;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const double sigma = draw(Sde(), 3, 0, i).sigma;
    CHECK((lower_level(o, 0, sigma) > 0) == (sigma > std::log(7.0)));
    CHECK(lower_level(o, 2, sigma) > 0);
    above += sigma > std::log(7.0);
  }
  CHECK(std::abs(above - 0.1887 * kDraws) < 3 * std::sqrt(0.1887 * 0.8113 * kDraws));
}

TEST_CASE("stages have equal lengths, and the last one ends the run") {
  ConsistencyOptions o;
  o.stages = 4;
  std::vector<int> steps(4);
  for (int64_t step = 0; step < 100; ++step) ++steps[size_t(consistency_stage(o, step, 100))];
  CHECK(steps == std::vector<int>{25, 25, 25, 25});
  CHECK(consistency_stage(o, 0, 1) == 0);
  CHECK(consistency_stage(o, 100, 100) == 3);
  CHECK_THROWS_AS(consistency_stage(o, -1, 100), Error);
}

TEST_CASE("a point's numbers are the difference of both denoised images, for every prediction and SDE") {
  const double x0 = 0.3, z = -1.7, f = 0.6, f_lower = -0.4;
  for (const Sde& sde : {Sde(Ve{}), Sde(Vp{}), Sde(SubVp{}), Sde(Simple{})})
    for (const Prediction prediction :
         {Prediction::edm, Prediction::score, Prediction::score_scaled, Prediction::noise, Prediction::x0,
          Prediction::v, Prediction::consistency})
      for (const double sigma : {0.05, 0.7, 9.0}) {
        Objective objective;
        objective.sde = sde, objective.preconditioning.prediction = prediction;
        const double r = 0.9 * sigma;
        const NoiseLevel upper = sde.at_sigma(sigma), lower = sde.at_sigma(r);
        const ConsistencyPoint p = consistency_point(objective, {.weight_power = 1}, upper, r);
        const Scaling at = objective.preconditioning.at(upper), below = objective.preconditioning.at(lower);
        const double image = at.c_skip * (x0 + sigma * z) + at.c_out * f;
        const double image_lower = below.c_skip * (x0 + r * z) + below.c_out * f_lower;
        const double target = p.upper.target_x0 * x0 + p.upper.target_z * z + p.share * f_lower;
        const double scale = 1 + std::abs(image) + std::abs(image_lower);
        CHECK(at.c_out * (f - target) == doctest::Approx(image - image_lower).scale(scale).epsilon(1e-12));
        CHECK(p.scale == square(at.c_out));
        CHECK(p.lower_x0 * x0 + p.lower_z * z == doctest::Approx(below.c_in * (x0 + r * z)));
        CHECK(p.lower_c_noise == below.c_noise);
        CHECK(p.upper.input_x0 == at.c_in);
        CHECK(p.upper.loss_weight == doctest::Approx(1 / square(sigma) + 1 / square(0.5)));  // by edm
        // At r = 0, and below all noise that samplers visit, it is denoising.
        for (const double none : {0.0, 1e-9}) {
          const ConsistencyPoint image_itself =
              consistency_point(objective, {.weight_power = 1}, upper, none);
          CHECK(image_itself.share == 0);
          CHECK(image_itself.upper.target_x0 == at.target_x0);
          CHECK(image_itself.upper.target_z == at.target_z);
        }
      }
}

/// A network of one number a level, F = gain input, whose gain at a level learns from the one below by the loss's own
/// gradient. Images are N(0, data^2): with x_0 = (data, 0) and z = (0, 1) the sum over two pixels is the expectation.
struct ScalarModel {
  double data = 0.7;
  Objective objective;
  ConsistencyOptions options;
  engine::Device device{{1, engine::Backend::cpu}};

  Tensor row(std::vector<double> values) {
    const Tensor t(device, {1, int64_t(values.size())}, DType::f64);
    device.upload(t.data(), values.data(), values.size() * sizeof(double));
    return t;
  }
  Tensor number(double value) { return reshape(row({value}), {1}); }
  /// One step downhill by Newton: d loss / d gain over the slope of the square within the loss.
  double learned(double gain, const ConsistencyPoint& p, double lower_gain) {
    const double x[2] = {p.upper.input_x0 * data, p.upper.input_z};
    const double lower[2] = {p.lower_x0 * data * lower_gain, p.lower_z * lower_gain};
    const double target[2] = {p.upper.target_x0 * data + p.share * lower[0],
                              p.upper.target_z + p.share * lower[1]};
    const Tensor y = device.tape().watch(row({gain * x[0], gain * x[1]}));
    device.tape().backward(pseudo_huber(y, row({target[0], target[1]}), number(p.scale),
                                        number(p.upper.loss_weight), options.huber));
    const std::vector<double> dy = device.tape().gradient(y).to_doubles();
    device.tape().clear();
    const double distance2 = p.scale * (square(gain * x[0] - target[0]) + square(gain * x[1] - target[1]));
    const double slope = p.upper.loss_weight * p.scale / std::sqrt(distance2 + square(options.huber));
    return gain - (dy[0] * x[0] + dy[1] * x[1]) / (slope * (square(x[0]) + square(x[1])));
  }
};

TEST_CASE("tuned level by level a scalar model becomes the consistency function of Gaussian images") {
  ScalarModel m;
  constexpr int kStage = 9;
  std::vector<double> levels{80};  // down to the image
  while (levels.back() > edm_range(m.objective.sde).least)
    levels.push_back(lower_level(m.options, kStage, levels.back()));
  double gain = 0, worst = 0;
  for (size_t i = levels.size() - 1; i-- > 0;) {
    const NoiseLevel upper = m.objective.sde.at_sigma(levels[i]);
    const ConsistencyPoint p = consistency_point(m.objective, m.options, upper, levels[i + 1]);
    double next = gain;
    for (int k = 0; k < 2; ++k) next = m.learned(next, p, gain);
    gain = next;
    const Scaling s = m.objective.preconditioning.at(upper);
    const double jump = s.c_skip + s.c_out * gain * s.c_in;  // D = jump (x_0 + sigma z)
    worst = std::max(worst, std::abs(jump * std::hypot(m.data, levels[i]) / m.data - 1));
  }
  CHECK(worst < 1e-3);
  CHECK(worst > 1e-6);  // steps are not infinitely short
}

/// A run that tunes what it finds in its store.
struct TunedRun : SmallRun {
  TunedRun() {
    options.from = Origin{"source", 60, "hash"};
    tune_to_consistency(options);
    options.consistency.stages = 3;
    options.sample_count = 4, options.sample_every = 5;
  }
  SessionResult go(const std::filesystem::path& folder, std::optional<int64_t> last = {}) {
    return train_with(folder, [&](Trainer& trainer) {
      SessionHooks hooks;
      hooks.begin = [] { return std::vector<std::string>{}; };
      hooks.write_grid = [&](const std::filesystem::path&, const auto& pictures, int count) {
        CHECK(count == 4);
        REQUIRE(pictures.size() == 2);  // of one evaluation, and of two
        CHECK(pictures[0].size() == pictures[1].size());
        CHECK(pictures[0] != pictures[1]);
        ++grids;
      };
      if (last) hooks.interrupted = [&trainer, l = *last] { return trainer.step_number() >= l; };
      return hooks;
    });
  }
  int grids = 0;
};

TEST_CASE(
    "a tuned run goes on byte for byte, draws grids of one and two evaluations, and knows its objective") {
  const TempFolder place(memory_folder());
  TunedRun run;
  CHECK(run.go(place / "straight").finished);
  CHECK(run.grids == 4);  // at the steps 0, 5, 10 and 12
  const auto want = contents_of(place / "straight/checkpoints");
  for (const int64_t stop : {3, 7}) {
    const std::filesystem::path folder = place / ("stopped" + std::to_string(stop));
    CHECK_FALSE(run.go(folder, stop).finished);
    CHECK(run.go(folder).finished);
    CHECK(contents_of(folder / "checkpoints") == want);
  }
  run.options.consistency.stages = 4;
  CHECK(contains(error_of([&] { run.go(place / "straight"); }), "stages: 3 there, 4 now"));
  engine::Device device({1, engine::Backend::cpu});
  const LoadedModel model = load_model(device, place / "straight/checkpoints/last");
  CHECK(model.options.objective == ObjectiveKind::consistency);
  CHECK(model.settle({}).sampler == SamplerKind::consistency);
  // Which checkpoint draws best is not what its validation says.
  CHECK_FALSE(std::filesystem::exists(place / "straight/checkpoints/best"));
}

TEST_CASE("the lower level's answer is a constant, under the same mask of dropout") {
  TunedRun run;
  run.options.accumulate = 1, run.options.batch = 4;
  engine::Device device({1, engine::Backend::cpu});
  Trainer tuned(device, run.options, run.images());
  // Stage 0 has pairs without a lower level, the last stage none.
  tuned.resume_at(run.options.steps - 1, run.options.steps - 1, 0);
  const StepReport report = tuned.step();
  CHECK(std::isfinite(report.loss));
  CHECK(report.loss > 0);
  CHECK(report.grad_norm > 0);
  // With the gap closed both answers are one, so that neither loss nor gradient is left: masks that differ would
  // leave both.
  run.options.consistency.ratio = 1000, run.options.consistency.near = 0, run.options.consistency.stages = 3;
  Trainer closed(device, run.options, run.images());
  closed.resume_at(run.options.steps - 1, run.options.steps - 1, 0);
  const StepReport same = closed.step();
  CHECK(same.loss < 1e-4 * report.loss);
}

TEST_CASE("the objective's gradient is the slope of its loss along itself") {
  TunedRun run;
  run.options.accumulate = 1, run.options.batch = 4, run.options.network.dropout = 0;
  run.options.consistency.near =
      1000;  // every lower level is the image, so that no target moves with the weights
  run.options.consistency.huber = 0.05;  // and no distance has an edge
  run.options.optimizer.learning_rate = {engine::Decay::constant, 1e-30, 0, 0, 0};
  run.options.optimizer.adamw.clip = 0;
  engine::Device device({1, engine::Backend::cpu});
  Trainer trainer(device, run.options, run.images());
  engine::ParamStore& store = trainer.store();
  const StepReport at = trainer.step();
  std::vector<float> gradient(size_t(store.flat_count())), weights(gradient.size());
  device.download(gradient.data(), store.gradients(), gradient.size() * sizeof(float));
  device.download(weights.data(), store.master(), weights.size() * sizeof(float));
  const double step = 1e-3 * at.loss / square(at.grad_norm);  // a change of a thousandth
  const auto loss_at = [&](double by) {
    std::vector<float> moved(weights.size());
    for (size_t i = 0; i < moved.size(); ++i) moved[i] = float(double(weights[i]) + by * double(gradient[i]));
    device.upload(store.master(), moved.data(), moved.size() * sizeof(float));
    trainer.resume_at(0, 0, 0);
    return trainer.step().loss;
  };
  const double slope = (loss_at(step) - loss_at(-step)) / (2 * step);
  CHECK(slope == doctest::Approx(square(at.grad_norm)).epsilon(0.02));
}

TEST_CASE("the pass without a gradient takes no memory of activations") {
  TrainingOptions o = default_options("faces32");
  o.batch = 8;
  const std::vector<uint8_t> pixels = blobs(8, 32);
  const ImageSet images{pixels.data(), 8, 32, 32, 3, "none", {}};
  const auto step_bytes = [&](const TrainingOptions& options) {
    engine::Device device({1, engine::Backend::cpu});
    return Trainer(device, options, images).plan().step_bytes;
  };
  const size_t denoising = step_bytes(o);
  o.from = Origin{"source", 60, "hash"};
  tune_to_consistency(o);
  CHECK(double(step_bytes(o)) < 1.15 * double(denoising));
}

TEST_CASE("consistency tuning refuses what it cannot use") {
  TrainingOptions o = default_options("tiny");
  tune_to_consistency(o);
  CHECK(contains(error_of([&] { check(o); }), "tunes a trained model, and none is named"));
  o.from = Origin{"source", 60, "hash"};
  check(o);
  o.learn_weighting = true;
  CHECK(contains(error_of([&] { check(o); }), "without a learned weight"));
  o.learn_weighting = false, o.input_noise = 0.1;
  CHECK(contains(error_of([&] { check(o); }), "two inputs of the same noise"));
  o.input_noise = 0;
  TrainingOptions denoising = default_options("tiny");
  CHECK(contains(error_of([&] { check_same_model(o, denoising); }), "is a consistency model"));
  check_same_model(o, o);
  check_same_model(denoising, o);
}

TEST_CASE("a model that jumps draws by its own sampler, and no other model does") {
  TrainingOptions o = default_options("tiny");
  CHECK(contains(error_of([&] { settle({.sampler = SamplerKind::consistency}, o); }), "was not tuned to"));
  tune_to_consistency(o);
  CHECK(settle({}, o).steps == 2);
  CHECK(settle({.fast = true}, o).steps == 1);
  CHECK(settle({.best = true}, o).steps == 2);
  CHECK(contains(error_of([&] { settle({.best = true, .levels = "80,1"}, o); }), "and levels another"));
  o.own_sampler =
      SamplerOptions{.sampler = SamplerKind::ddim, .steps = 50, .clip = "image"};  // of its source
  CHECK(text_of(settle({}, o)) == "consistency, 2 steps, clip static");
  o.own_sampler.reset();
  CHECK(settle({.evaluations = 5}, o).steps == 5);
  CHECK(settle({.levels = "80,3,0.5"}, o).levels == std::vector<double>{80, 3, 0.5});
  CHECK(contains(error_of([&] { settle({.sampler = SamplerKind::heun}, o); }), "mean nothing to it"));
  CHECK(contains(error_of([&] { settle({.grid = Grid::karras}, o); }), "grid does nothing"));
  CHECK(contains(error_of([&] { settle({.corrector = 1}, o); }), "a corrector follows the score"));
  CHECK(contains(error_of([&] { settle({.levels = "80,90"}, o); }), "levels must fall"));
  CHECK(contains(error_of([&] { settle({.steps = 3, .levels = "80,1"}, o); }), "levels has 2 jumps, and 3"));
  CHECK(contains(
      error_of([&] { settle({.sampler = SamplerKind::ddim, .levels = "80"}, default_options("tiny")); }),
      "levels does nothing with the sampler ddim"));
}

TEST_CASE("jumps: from each level to the image, and noise again up to the next") {
  const Sde sde;
  const SamplerPlan two =
      make_sampler_plan({.sampler = SamplerKind::consistency, .steps = 2, .levels = {80, 0.5}}, sde);
  REQUIRE(two.stages.size() == 2);
  CHECK(two.prior_sigma == 80);
  CHECK((two.stages[0].update.a == 0 && two.stages[0].update.b[0] == 1 && two.stages[0].update.c == 0.5));
  CHECK((two.stages[1].update.a == 0 && two.stages[1].update.b[0] == 1 && two.stages[1].update.c == 0));
  CHECK(two.stages[1].level.sigma == 0.5);
  const SamplerPlan bounded = make_sampler_plan(
      {.sampler = SamplerKind::consistency, .steps = 2, .levels = {80, 0.5}, .boundary = 0.3}, sde);
  CHECK(bounded.stages[0].update.c == doctest::Approx(0.4));
  for (const int n : {1, 2, 3, 7}) {
    const std::vector<double> sigmas = consistency_sigmas(n, 80);
    CHECK(sigmas.size() == size_t(n));
    CHECK(sigmas.front() == 80);
    CHECK(std::is_sorted(sigmas.rbegin(), sigmas.rend()));
  }
}

}  // namespace
}  // namespace ito::model
