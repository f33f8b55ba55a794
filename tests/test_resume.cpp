#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "model/training/checkpoint.h"
#include "model/training/retention.h"
#include "model/training/validation.h"
#include "tests/small_run.h"

/// Interrupted runs against uninterrupted ones, which checkpoints stay, and the number that chooses the best.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;

TEST_CASE("interrupted after any steps, a run ends with the checkpoints of the one that was not") {
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    CAPTURE(std::string(name_of(precision)));
    SmallRun run;
    run.options.precision = precision;
    if (precision == Precision::f32) run.options.optimizer.kind = engine::OptimizerKind::muon;
    run.options.save_every = 3, run.options.validate_every = 2, run.options.keep_guide = 0.4;
    set_steps(run.options, 10);  // the last step is on no schedule
    const TempFolder place;
    run.train(place / "straight");
    const auto want = contents_of(place / "straight/checkpoints");
    CHECK(want.count("step-00000010/record.json") == 1);
    CHECK(want.count("step-00000004/record.json") == 1);  // the guide
    const std::vector<std::vector<int64_t>> interruptions = {{1}, {3}, {4, 5}, {2, 6, 8}, {7, 8, 9}};
    for (size_t i = 0; i < interruptions.size(); ++i) {
      const fs::path folder = place / ("interrupted" + std::to_string(i));
      for (const int64_t step : interruptions[i]) {
        CHECK_FALSE(run.train_until(step, folder).finished);
        CHECK(newest_checkpoint(folder)->filename() == step_name(step));
        CHECK(fs::read_symlink(folder / "checkpoints/last") == step_name(step));
      }
      CHECK(run.train(folder).finished);
      CHECK(contents_of(folder / "checkpoints") == want);
    }
  }
}

TEST_CASE("a run with everything that varies its samples, and a learned weight, goes on byte for byte") {
  SmallRun run;
  run.options.noise_candidates = 4, run.options.input_noise = 0.1;
  run.options.augment = 0.5, run.options.network.augment = true;
  run.options.learn_weighting = true;
  const TempFolder place;
  run.train(place / "straight");
  const auto want = contents_of(place / "straight/checkpoints");
  for (const int64_t step : {1, 5, 10}) CHECK_FALSE(run.train_until(step, place / "interrupted").finished);
  CHECK(run.train(place / "interrupted").finished);
  CHECK(contents_of(place / "interrupted/checkpoints") == want);
  const auto differs = [&](auto change) {
    SmallRun other = run;
    change(other.options);
    const fs::path folder = place / "other";
    other.train(folder);
    const bool result = contents_of(folder / "checkpoints/step-00000012") !=
                        contents_of(place / "straight/checkpoints/step-00000012");
    fs::remove_all(folder);
    return result;
  };
  CHECK_FALSE(differs([](TrainingOptions&) {}));
  CHECK(differs([](TrainingOptions& o) { o.noise_candidates = 3; }));
  CHECK(differs([](TrainingOptions& o) { o.input_noise = 0.2; }));
  CHECK(differs([](TrainingOptions& o) { o.augment = 0.4; }));
  CHECK(differs([](TrainingOptions& o) { o.learn_weighting = false; }));
  run.options.augment = 0.4;
  CHECK(error_of([&] { run.train(place / "interrupted"); }).find("augment: 0.5 there, 0.4 now") !=
        std::string::npos);
}

TEST_CASE(
    "during a grid, an FID or a validation a run gives way, saves, and makes up for it when it goes on") {
  SmallRun run;
  run.options.sample_count = 9, run.options.sample_steps = 2, run.options.sample_every = 4;
  run.options.save_every = 4, run.options.validate_every = 4, run.options.validate_count = 4;
  const TempFolder place(memory_folder());
  int64_t asked = 0,
          last = INT64_MAX;  // how often the run asked whether to stop; from when on it is to
  std::map<std::string, int> made;
  SessionHooks hooks;
  hooks.interrupted = [&] { return asked++ >= last; };
  hooks.write_grid = [&](const fs::path& path, const std::vector<std::vector<uint8_t>>& grids, auto&&...) {
    ++made["grid"];
    std::ofstream(path, std::ios::binary) << std::string(grids[0].begin(), grids[0].end());
  };
  hooks.fid_every = 4;
  hooks.fid = [&]() -> std::optional<double> {
    ++made["fid"];
    return hooks.interrupted() ? std::nullopt : std::optional<double>(7);
  };
  CHECK(run.train(place / "straight", hooks).finished);
  const auto want = contents_of(place / "straight/checkpoints"),
             grids = contents_of(place / "straight/samples");
  const int64_t questions = asked;
  REQUIRE(grids.size() == 3);
  REQUIRE(made == std::map<std::string, int>{{"grid", 3}, {"fid", 3}});
  std::set<std::string> owed;
  for (const int64_t question : {int64_t(3), int64_t(4), int64_t(6), int64_t(10), int64_t(11), int64_t(12),
                                 int64_t(13), questions - 4, questions - 2, questions - 1}) {
    CAPTURE(question);
    last = question;
    const fs::path folder = place / "stopped";
    asked = 0;
    CHECK_FALSE(run.train(folder, hooks).finished);
    CHECK(asked <= last + 2);  // at once
    const Owed there = read_record(*newest_checkpoint(folder)).owed;
    if (there.grid) owed.insert("grid");
    if (there.fid && !there.grid) owed.insert("fid");
    if (there.validation && !there.fid) owed.insert("validation");
    last = INT64_MAX;
    CHECK(run.train(folder, hooks).finished);
    CHECK(contents_of(folder / "checkpoints") == want);
    CHECK(contents_of(folder / "samples") == grids);
    fs::remove_all(folder);
  }
  CHECK(owed == std::set<std::string>{"grid", "fid", "validation"});
}

std::vector<std::string> notes_of(const SmallRun& run, const fs::path& folder) {
  std::vector<std::string> notes;
  SessionHooks hooks;
  hooks.note = [&](const std::string& text) { notes.push_back(text); };
  CHECK(run.train(folder, hooks).finished);
  return notes;
}

TEST_CASE("more steps go on; where the rate's decay aims at the last one, the new plan is reported") {
  using engine::Decay;
  for (const Decay decay : {Decay::constant, Decay::cosine}) {
    SmallRun run;
    run.options.optimizer.learning_rate.decay = decay;
    set_steps(run.options, 4);
    const TempFolder place;
    CHECK(notes_of(run, place / "run").empty());
    set_steps(run.options, 8);
    const auto notes = notes_of(run, place / "run");
    if (decay == Decay::constant) {
      CHECK(notes.empty());
      run.train(place / "straight");
      CHECK(contents_of(place / "run/checkpoints") == contents_of(place / "straight/checkpoints"));
    } else {
      CHECK(notes ==
            std::vector<std::string>{"the learning rate's schedule was re-planned, from 4 to 8 steps"});
    }
  }
}

using Steps = std::vector<int64_t>;

TEST_CASE("the newest and the best stay, and what an interruption made until the next one") {
  const auto none = std::optional<double>();
  CHECK(choose_checkpoints({}, 2).superfluous.empty());
  Retention r = choose_checkpoints({{1, true, 0.5}, {2, true, 0.3}, {3, true, 0.4}, {4, true, 0.4}}, 1);
  CHECK(*r.last == 4);
  CHECK(*r.best == 2);
  CHECK(r.superfluous == Steps{1, 3});
  r = choose_checkpoints({{1, true, 0.5}, {2, true, 0.5}, {3, true, none}}, 3);
  CHECK(*r.best == 1);  // of equals the earlier one
  CHECK(r.superfluous.empty());
  r = choose_checkpoints({{1, true, none}, {2, true, none}, {3, false, none}}, 2);
  CHECK_FALSE(r.best);
  CHECK(*r.last == 3);
  CHECK(r.superfluous == Steps{1});
  r = choose_checkpoints({{1, true, none}, {2, true, none}, {3, false, none}, {4, true, none}}, 3);
  CHECK(r.superfluous == Steps{3});
  // The newest guide stays, and is not one of those that `keep` counts.
  r = choose_checkpoints({{1, true, none, true}, {2, true, none, true}, {3, true, none}, {4, true, none}}, 1);
  CHECK(r.guide == 2);
  CHECK(r.superfluous == std::vector<int64_t>{1, 3});
  r = choose_checkpoints({{1, true, none}, {2, true, none, true}}, 1);
  CHECK(r.superfluous == std::vector<int64_t>{1});
  r = choose_checkpoints({{2, true, 0.5}, {3, false, 0.1}, {4, true, 0.4}}, 2);
  CHECK(*r.best == 4);  // not one that an uninterrupted run would not have
  CHECK(r.superfluous == Steps{3});
}

/// The log says that `step` had this validation loss.
bool has_line(const fs::path& log, int64_t step, double loss) {
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.contains("validation_loss") && json["step"] == step && json["validation_loss"] == loss)
      return true;
  }
  return false;
}

TEST_CASE("best is the checkpoint with the lowest validation loss there was") {
  SmallRun run;
  run.options.save_every = 1, run.options.keep = 1;
  // Far too fast from the seventh step on.
  run.options.optimizer.learning_rate = {engine::Decay::constant, 0.3, 300, 0, 0};
  run.options.optimizer.ema.decay = 0;
  const TempFolder place;
  std::map<int64_t, double> losses;
  SessionHooks hooks;
  hooks.saved = [&](const fs::path& checkpoint) {
    const auto loss = read_record(checkpoint).validation_loss;
    REQUIRE(loss);
    losses[int64_t(losses.size()) + 1] = *loss;
  };
  const SessionResult result = run.train(place / "run", hooks);
  REQUIRE(losses.size() == 12);
  const auto lowest = std::min_element(losses.begin(), losses.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
  CHECK(lowest->first < 12);
  CHECK(fs::read_symlink(place / "run/checkpoints/best") == step_name(lowest->first));
  CHECK(checkpoint_steps(place / "run") == Steps{lowest->first, 12});
  CHECK(*result.progress.validation_loss == losses[12]);
  CHECK(has_line(place / "run/log.jsonl", 12, losses[12]));
  engine::Device device({1, engine::Backend::cpu});
  CHECK(load_model(device, place / "run/checkpoints/best").step == lowest->first);
}

TEST_CASE("the validation loss: the same in any batch, of the held-out images, and never felt by training") {
  SmallRun run;
  engine::Device device({1, engine::Backend::cpu});
  const auto loss_of = [&](int batch, const ImageSet& images) {
    run.options.batch = batch;
    Trainer trainer(device, run.options, run.images());
    Validation validation(device, trainer, images);
    CHECK(validation.count() == 5);
    const double loss = validation.loss();
    CHECK(validation.loss() == loss);
    return loss;
  };
  const double loss = loss_of(2, run.held_out());
  CHECK(std::abs(loss_of(5, run.held_out()) - loss) < 1e-5 * loss);
  CHECK(std::abs(loss_of(7, run.held_out()) - loss) < 1e-5 * loss);
  CHECK(std::abs(loss_of(2, run.images()) - loss) > 1e-3 * loss);
  const ImageSet wrong{run.pixels.data(), 3, 16, 8, 3, "none", {}};
  CHECK(error_of([&] { loss_of(2, wrong); }).find("the images are 16x8x3") != std::string::npos);

  const TempFolder place;
  run.options.batch = 2;
  run.train(place / "with");
  run.options.validate_count = 0;
  run.train(place / "without");
  const char* state = "checkpoints/step-00000012/state.safetensors";
  CHECK(io::read_file(place / "with" / state) == io::read_file(place / "without" / state));
  CHECK_FALSE(fs::exists(fs::symlink_status(place / "without/checkpoints/best")));
  CHECK(error_of([&] {
          run.options.validate_count = 4;
          run.train(place / "with");
        }).find("validate_count: 5 there, 4 now") != std::string::npos);
}

TEST_CASE("a step may be validated without being saved; only a saved one can be the best") {
  SmallRun run;
  run.options.save_every = 4, run.options.validate_every = 3;
  const TempFolder place;
  run.train(place / "run");
  CHECK_FALSE(read_record(place / "run/checkpoints/step-00000008").validation_loss);
  CHECK(read_record(place / "run/checkpoints/step-00000012").validation_loss);
  CHECK(fs::read_symlink(place / "run/checkpoints/best") == step_name(12));
  std::ofstream(place / "run/checkpoints/step-00000012/record.json") << R"({"scheduled": 3})";
  CHECK(error_of([&] { run.train(place / "run"); }).find("record.json is damaged") != std::string::npos);
  std::ofstream(place / "run/checkpoints/step-00000012/record.json") << "{";
  CHECK(error_of([&] { run.train(place / "run"); }).find("record.json is damaged") != std::string::npos);
}

}  // namespace
}  // namespace ito::model
