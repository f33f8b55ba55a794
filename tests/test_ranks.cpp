#include <doctest/doctest.h>

#include <cstring>

#include "engine/agreement.h"
#include "engine/gradient_tree.h"
#include "kernels/base/philox.h"
#include "model/training/checkpoint.h"
#include "model/training/validation.h"
#include "tests/forked_ranks.h"
#include "tests/small_run.h"

/// Ranks that train one run: the same bits for every number of them, one stop, one error.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;

/// What a session leaves that does not tell the time.
std::map<std::string, std::string> traces_of(const fs::path& run) {
  std::map<std::string, std::string> traces = contents_of(run / "checkpoints");
  for (const auto& [name, bytes] : contents_of(run / "samples")) traces["samples/" + name] = bytes;
  return traces;
}

SessionHooks hooks_with_grids() {
  SessionHooks hooks;
  hooks.write_grid = [](const fs::path& path, const std::vector<std::vector<uint8_t>>& grids, auto&&...) {
    put(path, std::string(grids[0].begin(), grids[0].end()));
  };
  return hooks;
}

/// With grids of three chunks and three batches to validate, so that some ranks have more of them.
SmallRun shared_run() {
  SmallRun run;
  run.options.accumulate = 4;
  run.options.sample_count = 17, run.options.sample_steps = 2, run.options.sample_every = 4;
  run.options.power_ema = true;
  set_steps(run.options, 8);
  return run;
}

void train(SmallRun run, int ranks, const fs::path& folder, int64_t until = INT64_MAX) {
  run_ranks(ranks, [&](kernels::Wire& wire) {
    run.wire = &wire;
    const SessionResult result = run.train_with(folder, [&](Trainer& trainer) {
      SessionHooks hooks = hooks_with_grids();
      // The last rank alone is interrupted.
      const bool last = wire.rank() + 1 == wire.size();
      hooks.interrupted = [&trainer, last, until] { return last && trainer.step_number() >= until; };
      return hooks;
    });
    CHECK(result.finished == (until > run.options.steps));
    CHECK(result.progress.step >= std::min(until, run.options.steps));
    return std::string();
  });
}

TEST_CASE("1, 2 and 4 ranks write the same checkpoints, averages, grids and losses") {
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    CAPTURE(std::string(name_of(precision)));
    SmallRun run = shared_run();
    run.options.precision = precision;
    run.options.learn_weighting = precision == Precision::f32;
    const TempFolder place(memory_folder());
    train(run, 1, place / "1");
    const auto want = traces_of(place / "1");
    CHECK(want.count("samples/step-00000004.png") == 1);
    CHECK(want.count("step-00000008/state.safetensors") == 1);
    for (const int ranks : {2, 4}) {
      CAPTURE(ranks);
      train(run, ranks, place / std::to_string(ranks));
      CHECK(traces_of(place / std::to_string(ranks)) == want);
      CHECK(contents_of(place / std::to_string(ranks) / "power_ema") == contents_of(place / "1/power_ema"));
    }
  }
}

TEST_CASE("a run is stopped by one rank, goes on with another number of them, and ends with the same bytes") {
  const SmallRun run = shared_run();
  const TempFolder place(memory_folder());
  train(run, 1, place / "straight");
  train(run, 4, place / "stopped", 2);
  CHECK(newest_checkpoint(place / "stopped")->filename() ==
        step_name(3));  // the step in which it was agreed on
  train(run, 1, place / "stopped", 5);
  train(run, 2, place / "stopped");
  CHECK(traces_of(place / "stopped") == traces_of(place / "straight"));
}

TEST_CASE("twelve batches: 1, 2 and 4 ranks agree to the bit, three of them with each other") {
  SmallRun run = shared_run();
  run.options.accumulate = 12, run.options.batch = 1;
  set_steps(run.options, 3);
  const TempFolder place(memory_folder());
  const auto weights = [&](int ranks, const std::string& name) {
    train(run, ranks, place / name);
    return contents_of(place / name / "checkpoints").at("step-00000003/state.safetensors");
  };
  const std::string want = weights(1, "1");
  CHECK(weights(2, "2") == want);
  CHECK(weights(4, "4") == want);
  const std::string three = weights(3, "3");
  CHECK(three != want);  // another tree
  CHECK(weights(3, "again") == three);
}

TEST_CASE("batches that the ranks cannot share are refused, with what they can") {
  SmallRun run;
  const auto refused = [&](int ranks, int batch, int accumulate) {
    run.options.batch = batch, run.options.accumulate = accumulate;
    return run_ranks(ranks, [&](kernels::Wire& wire) {
      engine::Device device({.threads = 1, .wire = &wire});
      const auto make = [&] { Trainer(device, run.options, run.images()); };
      return error_of(make) + "; " + advice_of(make);
    })[0];
  };
  CHECK(refused(2, 64, 1) ==
        "a step's 1 batch of 64 images cannot be shared out evenly among 2 ranks; {batch} 32 {accumulate} 2, "
        "which "
        "learns from the same images in each step");
  CHECK(contains(refused(4, 3, 6), "{batch} 1 {accumulate} 18") == false);
  CHECK(contains(refused(3, 6, 4), "{batch} 4 {accumulate} 6"));
  CHECK(contains(refused(4, 3, 2), "nor can its 6 images"));
}

/// A trainer at step 999, so that the next step ends with a comparison of the weights.
TEST_CASE("a rank with other weights is found after 1,000 steps, by number") {
  SmallRun run;
  set_steps(run.options, 2000);
  for (const std::string& error : run_ranks(2, [&](kernels::Wire& wire) {
         engine::Device device({.threads = 1, .wire = &wire});
         Trainer trainer(device, run.options, run.images());
         trainer.resume_at(999, 999, 0);
         if (wire.rank() == 1) trainer.store().master()[5] += 1;
         return error_of([&] { trainer.step(); });
       }))
    CHECK(contains(error, "step 1000: the weights of rank 1 are not those of rank 0"));
}

/// Changes a bit of what this rank receives of large messages.
class FaultyWire : public kernels::Wire {
 public:
  explicit FaultyWire(kernels::Wire& wire) : wire_(wire) {}
  int rank() const override { return wire_.rank(); }
  int size() const override { return wire_.size(); }
  void all_to_all(const void* from, void* to, size_t bytes) override { wire_.all_to_all(from, to, bytes); }
  void all_gather(const void* from, void* to, size_t bytes) override {
    wire_.all_gather(from, to, bytes);
    if (bytes > 10000 && rank() == 1) static_cast<char*>(to)[3] ^= 0x40;  // 0 becomes 2
  }
  void broadcast(void* data, size_t bytes) override { wire_.broadcast(data, bytes); }

 private:
  kernels::Wire& wire_;
};

TEST_CASE("ranks that report other numbers end the run, with rank and step") {
  SmallRun run;
  for (const std::string& error : run_ranks(2, [&](kernels::Wire& wire) {
         FaultyWire faulty(wire);
         engine::Device device({.threads = 1, .wire = &faulty});
         Trainer trainer(device, run.options, run.images());
         return error_of([&] { trainer.step(); });
       })) {
    CAPTURE(error);
    CHECK(contains(error, "step 1: the ranks no longer agree: rank 1 has loss "));
  }
}

TEST_CASE("a run that goes on and diverges fails with the same error on all ranks") {
  SmallRun run = shared_run();
  run.options.sample_count = run.options.validate_count = 0;
  run.options.save_every = 1, run.options.max_bad_steps = 2;
  run.options.optimizer.learning_rate.peak = 1e30, run.options.optimizer.learning_rate.warmup = 0;
  const TempFolder place(memory_folder());
  for (int i = 0; i < 2; ++i) {  // the second one goes on from the first step
    const std::vector<std::string> errors = run_ranks(2, [&](kernels::Wire& wire) {
      run.wire = &wire;
      return error_of([&] { run.train(place / "run"); });
    });
    CHECK(contains(errors[0], "the last good checkpoint is "));
    CHECK(errors[1] == errors[0]);
  }
}

TEST_CASE("a grid that fails on the rank that writes it is noted, and all go on") {
  SmallRun run = shared_run();
  const TempFolder place(memory_folder());
  run_ranks(2, [&](kernels::Wire& wire) {
    run.wire = &wire;
    std::vector<std::string> notes;
    SessionHooks hooks = hooks_with_grids();
    hooks.write_grid = [](auto&&...) { fail("the disk is full"); };
    hooks.note = [&](const std::string& text) { notes.push_back(text); };
    CHECK(run.train(place / "run", hooks).finished);
    CHECK(notes.size() == (wire.rank() == 0 ? 2 : 0));
  });
}

}  // namespace
}  // namespace ito::model

namespace ito::engine {
namespace {

using namespace tests;

std::vector<std::vector<float>> random_leaves(int leaves, int64_t count) {
  std::vector<std::vector<float>> all;
  for (int m = 0; m < leaves; ++m) {
    all.emplace_back();
    for (int64_t i = 0; i < count; ++i)
      all.back().push_back(float(random_normal({7, Purpose::init, uint32_t(m), 0}, uint32_t(i))));
  }
  return all;
}

/// The tree's definition, element by element.
float tree(const std::vector<std::vector<float>>& leaves, size_t i, size_t begin, size_t count) {
  if (count % 2 == 0)
    return tree(leaves, i, begin, count / 2) + tree(leaves, i, begin + count / 2, count / 2);
  float sum = leaves[begin][i];
  for (size_t k = 1; k < count; ++k) sum += leaves[begin + k][i];
  return sum;
}

TEST_CASE("gradients are summed by the tree of any number of batches, and losses with them") {
  for (const int leaves : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24}) {
    CAPTURE(leaves);
    Device device({.threads = 1});
    ParamStore store(device);
    store.add({"w", {19}, Init::zeros()});
    store.allocate(ParamStore::Use::training, 0);
    const int64_t count = store.gradient_count();
    CHECK(count == 48);  // 19 numbers are 32, and the loss begins another block
    const auto values = random_leaves(leaves, count);
    {
      GradientTree sum(store, leaves);
      for (const auto& leaf : values) {
        std::copy(leaf.begin(), leaf.end(), store.gradients());
        sum.add();
      }
    }
    bool same = true;
    for (size_t i = 0; i < size_t(count); ++i)
      same &= store.gradients()[i] == tree(values, i, 0, size_t(leaves));
    CHECK(same);
    CHECK(store.loss() == store.gradients() + 32);
  }
}

TEST_CASE("the sum over ranks is that of one rank with all batches, the same bits on each") {
  for (const auto& pair : {std::pair{2, 4}, {4, 4}, {2, 6}, {4, 12}}) {
    const int ranks = pair.first, leaves = pair.second;
    CAPTURE(ranks);
    const auto values = random_leaves(leaves, 64);
    for (const std::string& bytes : run_ranks(ranks, [&](kernels::Wire& wire) {
           Device device({.threads = 1, .wire = &wire});
           ParamStore store(device);
           store.add({"w", {40}, Init::zeros()});
           store.allocate(ParamStore::Use::training, 0);
           const int own = leaves / ranks;
           GradientTree sum(store, own);
           for (int m = 0; m < own; ++m) {
             std::copy_n(values[size_t(wire.rank() * own + m)].begin(), 49, store.gradients());
             sum.add();
           }
           sum_over_ranks(store, Reduction::exact);
           return std::string(reinterpret_cast<const char*>(store.gradients()), 49 * sizeof(float));
         })) {
      bool same = true;
      for (size_t i = 0; i < 49; ++i) {
        const float want = tree(values, i, 0, size_t(leaves));
        same &= std::memcmp(bytes.data() + i * sizeof want, &want, sizeof want) == 0;
      }
      CHECK(same);
    }
  }
}

TEST_CASE("ranks agree: texts, chunks, the worst outcome, and facts that differ") {
  const auto texts = run_ranks(3, [](kernels::Wire& wire) {
    const std::string own = std::string(size_t(wire.rank()) * 2, char('a' + wire.rank()));
    CHECK(gather_texts(wire, own) == std::vector<std::string>{"", "bb", "cccc"});
    CHECK(broadcast_text(wire, "from " + std::to_string(wire.rank())) == "from 0");
    std::vector<int> chunks;
    for (size_t c = 0; c < 4; ++c)  // of seven pairs, two at a time
      for (int i = 0; is_own_chunk(wire, c) && i < (c == 3 ? 2 : 4); ++i) chunks.push_back(int(c) * 4 + i);
    const std::vector<int> all = gather_chunks(wire, chunks, 7, 2, 2);
    CHECK(all.size() == 14);
    for (int i = 0; i < 14; ++i) CHECK(all[size_t(i)] == i);
    const Outcome outcome = agree(wire, wire.rank() == 0 ? 0 : 4, own);
    CHECK(outcome.code == 4);
    CHECK(outcome.rank == 1);
    CHECK(outcome.text == "bb");
    CHECK_THROWS_AS(together(wire,
                             [&] {
                               if (wire.rank() == 2) throw Interrupted{};
                             }),
                    Interrupted);
    CHECK(error_of([&] {
            check_equal(wire, {{"color", "red"}, {"size", wire.rank() == 1 ? "2" : "1"}});
          }) == "the ranks differ in size: rank 1 has\n2\nand rank 0\n1");
    return error_of([&] {
      together(wire, [&] {
        if (wire.rank() > 0) fail(cat("rank ", wire.rank(), " has no disk"));
      });
    });
  });
  CHECK(texts ==
        std::vector<std::string>{"rank 1: rank 1 has no disk", "rank 1 has no disk", "rank 2 has no disk"});
}

}  // namespace
}  // namespace ito::engine
