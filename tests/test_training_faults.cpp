#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmath>

#include "model/training/checkpoint.h"
#include "tests/descriptors.h"
#include "tests/small_run.h"

/// What a run does where the disk is full, the folder unfit, another process in it, memory short, or a number
/// not finite.
namespace ito::model {
namespace {

namespace fs = std::filesystem;
using namespace tests;

/// What `action`, run without root's rights, fails with.
template <class F>
std::string error_as_nobody(const fs::path& place, F&& action) {
  const fs::path answer = place / "answer";
  std::ofstream(answer).close();
  fs::permissions(answer, fs::perms::all);
  CHECK(wait_for(start([&] {
          if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(2);
          std::ofstream(answer) << error_of(action);
        })) == 0);
  return io::read_file(answer);
}

/// Goes on after the disk was full in step 4, and has then what a run without that has.
void check_goes_on(const SmallRun& run, const fs::path& folder, const fs::path& straight) {
  CHECK(newest_checkpoint(folder)->filename() == "step-00000002");
  for (const auto& [name, bytes] : contents_of(folder / "checkpoints")) CHECK_FALSE(contains(name, ".tmp"));
  CHECK(run.train(folder).finished);
  run.train(straight);
  CHECK(contents_of(folder / "checkpoints") == contents_of(straight / "checkpoints"));
}

TEST_CASE(
    "a file that may not grow while a checkpoint is saved: a clear line, nothing half done, and it goes on") {
  const SmallRun run;
  const TempFolder place;
  const fs::path folder = place / "run";
  run.train_until(2, folder);
  const pid_t child = start([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{100000, 100000};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string error = error_of([&] { run.train(folder); });
    for (const std::string& part :
         {std::string("step 4: "), std::string("cannot write: File too large; make room there"),
          "the last good checkpoint is " + newest_checkpoint(folder)->string(),
          std::string("the same command goes on from there")})
      if (!contains(error, part)) fail(cat("no '", part, "' in: ", error));
  });
  CHECK(wait_for(child) == 0);
  check_goes_on(run, folder, place / "straight");
}

/// A file system of `bytes` in memory; false where this process may not mount.
struct SmallDisk {
  fs::path path;
  bool mounted;
  SmallDisk(const fs::path& path, const std::string& size) : path(path) {
    fs::create_directories(path);
    mounted = mount("none", path.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted) umount(path.c_str());
  }
};

TEST_CASE("a disk that is full while a checkpoint is saved") {
  const SmallRun run;
  const TempFolder place;
  const SmallDisk disk(place / "disk", "32m");
  if (!disk.mounted) {
    MESSAGE("left out: this process may not mount a file system");
    return;
  }
  const fs::path folder = disk.path / "run", filler = disk.path / "filler";
  run.train_until(2, folder);
  const uintmax_t room = fs::space(disk.path).available, checkpoint = 3 << 20;
  REQUIRE(room > checkpoint);
  std::ofstream(filler) << std::string(room - checkpoint / 2, 'x');
  const std::string error = error_of([&] { run.train(folder); });
  CAPTURE(error);
  CHECK(contains(error, "step 4: "));
  CHECK(contains(error, "No space left on device; make room there"));
  CHECK(contains(error, "the last good checkpoint is " + (folder / "checkpoints/step-00000002").string()));
  engine::Device device({1, engine::Backend::cpu});
  CHECK(load_model(device, folder / "checkpoints/step-00000002").step == 2);
  fs::remove(filler);
  check_goes_on(run, folder, place / "straight");
}

TEST_CASE("run folders that are no folders, or may not be read or written") {
  const TempFolder place(fs::temp_directory_path());
  fs::permissions(place.path(), fs::perms::all);
  std::ofstream(place / "file") << "x";
  CHECK(contains(error_of([&] { RunFolder run(place / "file"); }), "file is a file"));
  { RunFolder run(place / "run"); }
  const auto opened = [&](const char* name) {
    return error_as_nobody(place.path(), [&] { RunFolder run(place / name); });
  };
  CHECK(contains(opened("run"), "cannot write into"));
  fs::permissions(place / "run/.lock", fs::perms::all);
  fs::permissions(place / "run/checkpoints", fs::perms::none);
  CHECK(contains(opened("run"), "cannot read " + (place / "run/checkpoints").string()));
  fs::permissions(place / "run/checkpoints", fs::perms::all);
  CHECK(opened("run") == "");
  fs::create_directory(place / "locked");
  CHECK(contains(opened("locked"), "cannot make the run folder"));
}

TEST_CASE(
    "two processes in one folder: the second one's error has the first one's number; a killed one is none") {
  const TempFolder place;
  const fs::path folder = place / "run";
  const pid_t child = start([&] {
    const RunFolder run(folder);
    std::ofstream(place / "ready") << "x";
    pause();
  });
  while (!fs::exists(place / "ready")) usleep(1000);
  const std::string error = error_of([&] { RunFolder second(folder); });
  CHECK(contains(error, "process " + std::to_string(child) + " is training into " + folder.string()));
  kill(child, SIGKILL);
  CHECK(wait_for(child) == -SIGKILL);
  CHECK(error_of([&] { RunFolder second(folder); }) == "");
}

TEST_CASE("a run whose lock cannot be written is not taken, and nothing stays open") {
  const TempFolder place;
  const auto usual_action = signal(SIGXFSZ, SIG_IGN);
  rlimit usual{};
  getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit none{0, usual.rlim_max};
  const auto before = tests::open_descriptors();
  setrlimit(RLIMIT_FSIZE, &none);
  const std::string error = error_of([&] { RunFolder run(place / "run"); });
  setrlimit(RLIMIT_FSIZE, &usual);
  signal(SIGXFSZ, usual_action);
  CHECK(error == cat("cannot write into ", (place / "run").string(), ": is the disk full?"));
  CHECK(tests::open_descriptors() == before);
  CHECK(error_of([&] { RunFolder second(place / "run"); }) == "");
}

TEST_CASE("memory that does not suffice is reported before training, with a batch that fits") {
  SmallRun run;
  run.options.batch = 1 << 19, run.options.accumulate = 1;
  engine::Device device({1, engine::Backend::cpu});
  const auto train = [&] { Trainer trainer(device, run.options, run.images()); };
  CHECK(contains(error_of(train), "a step of 524288 images needs"));
  const std::string advice = advice_of(train);
  CAPTURE(advice);
  int batch = 0, accumulate = 0;
  REQUIRE(std::sscanf(advice.c_str(), "{batch} %d {accumulate} %d, which fits", &batch, &accumulate) == 2);
  CHECK(batch * accumulate == 1 << 19);
  run.options.batch = batch;
  CHECK(Trainer(device, run.options, run.images()).plan().step_bytes < device.free_bytes());
}

/// Makes the last layer say numbers whose squares are too large.
void spoil(Trainer& trainer) {
  const int last = trainer.store().find("conv_out.weight");
  std::vector<float> weights = trainer.store().read(last, engine::Track::master);
  for (float& w : weights) w = 1e30f;
  trainer.store().write(last, engine::Track::master, weights);
}

/// A rate at which weights overflow soon, and nothing that would hold them back.
SmallRun diverging() {
  SmallRun run;
  run.options.optimizer.learning_rate = {engine::Decay::constant, 1e30, 4, 0, 0};
  run.options.max_bad_steps = 3, run.options.save_every = 1, run.options.keep = 1;
  set_steps(run.options, 20);
  return run;
}

TEST_CASE("steps whose loss is not finite are skipped, named and counted; too many in a row end the run") {
  SmallRun run;
  run.options.max_bad_steps = 3, run.options.save_every = 1, run.options.keep = 1;
  const TempFolder place;
  const fs::path good = place / "run/checkpoints/step-00000004";
  std::vector<std::string> notes;
  const std::string error = error_of([&] {
    run.train_with(place / "run", [&](Trainer& trainer) {
      SessionHooks hooks;
      hooks.note = [&](const std::string& text) { notes.push_back(text); };
      hooks.saved = [&](const fs::path& path) {
        if (path == good) spoil(trainer);
      };
      return hooks;
    });
  });
  CAPTURE(error);
  CHECK(contains(error, "step 7 was skipped, its "));
  CHECK(contains(error, "as the last of 3 in a row (max_bad_steps): the run has diverged"));
  CHECK(contains(error, "the last good checkpoint is " + good.string()));
  REQUIRE(notes.size() == 4);
  CHECK(contains(notes[0], "step 5 was skipped, its "));
  CHECK(contains(notes[0], "(1 in a row, 1 in all)"));
  CHECK(notes[1] == "step 5 is not saved: its numbers are not finite");
  CHECK(contains(notes[2], "(2 in a row, 2 in all)"));
  CHECK(*newest_checkpoint(place / "run") == good);
  CHECK(fs::read_symlink(place / "run/checkpoints/last") == good.filename());
  run.train(place / "run");
  run.train(place / "straight");
  CHECK(contents_of(place / "run/checkpoints") == contents_of(place / "straight/checkpoints"));
}

TEST_CASE("an interruption between bad steps removes nothing, neither then nor at the next start") {
  SmallRun run;
  run.options.max_bad_steps = 3, run.options.save_every = 1, run.options.keep = 1;
  run.options.validate_count = 0;
  const TempFolder place;
  const fs::path good = place / "run/checkpoints/step-00000004";
  run.train_with(place / "run", [&](Trainer& trainer) {
    SessionHooks hooks;
    hooks.saved = [&](const fs::path& path) {
      if (path == good) spoil(trainer);
    };
    hooks.interrupted = [&trainer] { return trainer.step_number() == 6; };
    return hooks;
  });
  CHECK(newest_checkpoint(place / "run")->filename() == step_name(6));
  CHECK(
      contains(error_of([&] { run.train(place / "run"); }), "the last good checkpoint is " + good.string()));
  CHECK(fs::is_directory(good));
  CHECK(fs::read_symlink(place / "run/checkpoints/last") == good.filename());
}

TEST_CASE("a grid or an FID that fails is noted, and the run ends as without them") {
  SmallRun run;
  run.options.sample_count = 1, run.options.sample_steps = 1, run.options.sample_every = 5;
  const TempFolder place;
  std::vector<std::string> notes;
  SessionHooks hooks;
  hooks.note = [&](const std::string& text) { notes.push_back(text); };
  hooks.write_grid = [](auto&&...) { fail("no room"); };
  hooks.fid_every = 12;
  hooks.fid = []() -> std::optional<double> { fail("no weights"); };
  CHECK(run.train(place / "run", hooks).finished);
  CHECK(notes == std::vector<std::string>{"step 5: no grid: no room; training goes on",
                                          "step 10: no grid: no room; training goes on",
                                          "step 12: no grid: no room; training goes on",
                                          "step 12: no FID: no weights; training goes on"});
  run.train(place / "straight");
  CHECK(contents_of(place / "run/checkpoints") == contents_of(place / "straight/checkpoints"));
}

TEST_CASE("a model that draws what is not finite is not saved before it recovers") {
  SmallRun run;
  run.options.sample_count = 1, run.options.sample_steps = 1;
  run.options.sample_every = run.options.save_every = 3;
  const TempFolder place;
  std::vector<std::string> notes;
  SessionHooks hooks;
  hooks.note = [&](const std::string& text) {
    if (contains(text, "step "))
      notes.push_back(text);  // not the notes about the pictures that are missing here
  };
  hooks.write_grid = [&](const fs::path& path, auto&&...) {
    if (path.stem() == step_name(6)) throw NotFinite("NaN", "");
  };
  CHECK(run.train(place / "run", hooks).finished);
  CHECK(notes == std::vector<std::string>{"step 6: no grid: NaN; training goes on",
                                          "step 6 is not saved: its numbers are not finite"});
  CHECK(checkpoint_steps(place / "run") == std::vector<int64_t>{9, 12});
}

TEST_CASE("numbers that are not finite are not saved") {
  const SmallRun run;
  const TempFolder place;
  engine::Device device({1, engine::Backend::cpu});
  Trainer trainer(device, run.options, run.images());
  const fs::path checkpoint = place / "checkpoint";
  const auto saved_with = [&](float value) {
    std::vector<float> weights = trainer.store().read(0, engine::Track::master);
    weights.back() = value;
    trainer.store().write(0, engine::Track::master, weights);
    return error_of([&] { save_checkpoint(checkpoint, trainer, {}); });
  };
  CHECK(contains(saved_with(INFINITY), "master holds inf"));
  CHECK(fs::is_empty(place.path()));
  CHECK(saved_with(1) == "");
}

TEST_CASE("weights that were lost in one step are not saved, and none is called good") {
  const SmallRun run = diverging();
  const TempFolder place;
  const std::string error = error_of([&] { run.train(place / "run"); });
  CAPTURE(error);
  CHECK(contains(error, "there is no checkpoint yet"));
  CHECK_FALSE(newest_checkpoint(place / "run"));
  CHECK(error_of([&] { run.train(place / "run"); }) == error);
}

TEST_CASE("a skipped step leaves every number as it was, is counted over a resumption, and its streak, too") {
  SmallRun run = diverging();
  run.options.max_bad_steps = 1000;
  const TempFolder place;
  run.options.save_every = 1000;
  run.train_until(15, place / "run");
  engine::Device device({1, engine::Backend::cpu});
  Trainer trainer(device, run.options, run.images());
  resume_from(*newest_checkpoint(place / "run"), trainer);
  CHECK(trainer.bad_steps() >= 3);
  CHECK(trainer.skipped() == 15 - trainer.updates());
  const auto before = trainer.store().read(0, engine::Track::master);
  const int64_t bad = trainer.bad_steps(), updates = trainer.updates();
  const StepReport report = trainer.step();
  CHECK(report.skipped);
  CHECK(report.bad_steps == bad + 1);
  CHECK(trainer.updates() == updates);
  CHECK(trainer.store().read(0, engine::Track::master) == before);
}

}  // namespace
}  // namespace ito::model
