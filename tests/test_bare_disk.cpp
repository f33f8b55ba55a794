#include <doctest/doctest.h>

#include <cerrno>

#include "data/dataset.h"
#include "model/training/checkpoint.h"
#include "tests/picture_folders.h"
#include "tests/small_run.h"

/// Runs and caches on a file system that has neither symbolic links nor locks, as some that are shared.

// In place of libc's own, which are for a file system that has both.
extern "C" {
int symlink(const char*, const char*) noexcept {
  errno = EPERM;
  return -1;
}
int flock(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}
}

namespace ito {
namespace {

namespace fs = std::filesystem;
using namespace tests;

TEST_CASE("without links and locks a run says so, is saved, goes on and loads") {
  const SmallRun run;
  const TempFolder place;
  std::vector<std::string> notes;
  model::SessionHooks hooks;
  hooks.note = [&](const std::string& text) { notes.push_back(text); };
  hooks.interrupted = [&] { return model::newest_checkpoint(place / "run").has_value(); };
  CHECK_FALSE(run.train(place / "run", hooks).finished);
  hooks.interrupted = [] { return false; };
  CHECK(run.train(place / "run", hooks).finished);
  REQUIRE(notes.size() == 4);  // once at each start
  for (const size_t i : {0, 2}) {
    CHECK(contains(notes[i], "run/.lock cannot be locked ("));
    CHECK(contains(notes[i], "do not start one"));
    CHECK(
        contains(notes[i + 1], "the links to checkpoints are not kept, and training goes on without them: "));
  }
  CHECK(model::checkpoint_steps(place / "run").size() == 2);  // --keep, or the best and the last
  engine::Device device({1, engine::Backend::cpu});
  CHECK(model::load_model(device, *model::newest_checkpoint(place / "run")).step == 12);
}

TEST_CASE("without locks pictures are decoded, with a word of warning before") {
  const TempFolder place;
  put_pictures(place / "faces", 3);
  data::DatasetOptions options;
  options.height = options.width = 8, options.cache_dir = place / "cache", options.threads = 1;
  std::vector<std::string> said;
  options.warn = [&](const std::string& text) { said.push_back(text); };
  options.starting = [&](const data::DecodeForecast&) { said.emplace_back("starting"); };
  CHECK(data::open_dataset(place / "faces", options).count() == 3);
  REQUIRE(said.size() == 2);
  CHECK(contains(said[0], "do not start one"));
  CHECK(said[1] == "starting");
  CHECK(data::open_dataset(place / "faces", options).count() == 3);
  CHECK(said.size() == 2);  // the cache is there
}

}  // namespace
}  // namespace ito
