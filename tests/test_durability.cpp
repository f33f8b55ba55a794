#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "model/training/checkpoint.h"
#include "tests/small_run.h"

/// Saving, looked at one system call at a time: in which order names change and files are flushed, and what
/// is left where the run is killed at any of these calls, or any of them fails.
namespace {

namespace fs = std::filesystem;

/// The calls below one folder since it was watched, as "fsync a/b" or "rename a/b a/c"; the one that is
/// chosen kills the process or fails.
struct Tap {
  std::string folder;  // empty: nothing is watched
  std::vector<std::string> calls;
  int64_t chosen = -1;
  int error = 0;  // 0: kill

  bool fails(const std::string& call, const fs::path& path, const fs::path& other = {}) {
    if (folder.empty() || path.string().rfind(folder, 0) != 0) return false;
    std::string text = call + " " + path.lexically_relative(folder).string();
    if (!other.empty()) text += " " + other.lexically_relative(folder).string();
    calls.push_back(text);
    if (int64_t(calls.size()) - 1 != chosen) return false;
    if (!error) raise(SIGKILL);
    errno = error;
    return true;
  }
};
Tap tap;

fs::path path_of(int descriptor) {
  std::error_code none;
  return tap.folder.empty() ? fs::path()
                            : fs::read_symlink("/proc/self/fd/" + std::to_string(descriptor), none);
}

}  // namespace

// In place of libc's own.
extern "C" {
int fsync(int descriptor) {
  return tap.fails("fsync", path_of(descriptor)) ? -1 : int(syscall(SYS_fsync, descriptor));
}
ssize_t write(int descriptor, const void* bytes, size_t count) {
  return tap.fails("write", path_of(descriptor)) ? -1 : syscall(SYS_write, descriptor, bytes, count);
}
int rename(const char* from, const char* to) {
  return tap.fails("rename", from, to) ? -1 : int(syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
int mkdir(const char* path, mode_t mode) {
  return tap.fails("mkdir", path) ? -1 : int(syscall(SYS_mkdirat, AT_FDCWD, path, mode));
}
int symlink(const char* target, const char* path) noexcept {
  return tap.fails("symlink", path) ? -1 : int(syscall(SYS_symlinkat, target, AT_FDCWD, path));
}
int unlinkat(int folder, const char* name, int flags) noexcept {
  const fs::path path = folder == AT_FDCWD ? fs::path(name) : path_of(folder) / name;
  return tap.fails("unlink", path) ? -1 : int(syscall(SYS_unlinkat, folder, name, flags));
}
}

namespace ito::model {
namespace {

using namespace tests;

/// Three saves; from the second on one is removed.
SmallRun three_saves() {
  SmallRun run;
  run.options.save_every = 1, run.options.keep = 1;
  run.options.optimizer.learning_rate.peak = 1e-4;
  set_steps(run.options, 3);
  return run;
}

/// The calls of a whole run into `folder`.
std::vector<std::string> calls_of(const SmallRun& run, const fs::path& folder) {
  fs::create_directories(folder);
  tap = Tap{folder.string(), {}, -1, 0};
  run.train(folder);
  std::vector<std::string> calls = tap.calls;
  tap = Tap{};
  return calls;
}

/// The first call at or after `from` that begins so and ends so; fails the test where there is none.
size_t find_call(const std::vector<std::string>& calls, size_t from, const std::string& begin,
                 const std::string& end = "") {
  for (size_t i = from; i < calls.size(); ++i) {
    const std::string& c = calls[i];
    if (c.rfind(begin, 0) == 0 && c.size() >= end.size() &&
        c.compare(c.size() - end.size(), end.size(), end) == 0)
      return i;
  }
  CAPTURE(begin);
  CAPTURE(end);
  FAIL_CHECK("there is no such call");
  return calls.size();
}

TEST_CASE("an old checkpoint is removed only after the new one, its name and the links are on the disk") {
  const TempFolder place(memory_folder());
  const auto calls = calls_of(three_saves(), place / "run");
  const std::string fresh = "checkpoints/.step-00000002.", done = "checkpoints/step-00000002";
  const size_t begun = find_call(calls, 0, "mkdir " + fresh);
  const size_t named = find_call(calls, begun, "rename " + fresh, " " + done);
  int files = 0;
  for (size_t i = begun; i < named; ++i) {
    if (calls[i].rfind("write ", 0) != 0) continue;
    const std::string file = calls[i].substr(6);
    const size_t flushed = find_call(calls, i, "fsync " + file);
    CHECK(flushed < find_call(calls, i, "rename " + file + " "));
    CHECK(flushed < named);
    files += calls[i + 1] != calls[i];
  }
  CHECK(files == 5);
  const std::string folder = calls[begun].substr(6);
  // The last thing that happens inside the new folder is that it and the one inside it are flushed.
  CHECK(calls[named - 1] == "fsync " + folder);
  CHECK(find_call(calls, find_call(calls, begun, "rename " + folder + "/unet/", ".safetensors"),
                  "fsync " + folder + "/unet") < named);
  CHECK(calls[named + 1] == "fsync checkpoints");
  const size_t removed = find_call(calls, begun, "rename checkpoints/step-00000001 ");
  const size_t linked = find_call(calls, begun, "rename checkpoints/.last.tmp checkpoints/last");
  CHECK(named + 1 < linked);
  CHECK(find_call(calls, linked, "fsync checkpoints") < removed);
  CHECK(find_call(calls, 0, "unlink checkpoints/.removing-step-00000001") > removed);
}

/// Where something else happens than just before.
std::vector<int64_t> turns_of(const std::vector<std::string>& calls) {
  std::vector<int64_t> turns;
  for (size_t i = 0; i < calls.size(); ++i)
    if (i == 0 || calls[i] != calls[i - 1]) turns.push_back(int64_t(i));
  return turns;
}

/// Whether a call is for what only people read: where it fails a run says so and goes on.
bool is_display(const std::vector<std::string>& calls, size_t i) {
  const std::string& call = calls[i] == "fsync ." && i > 0 ? calls[i - 1] : calls[i];
  // The links, on which nothing depends.
  const bool after_link =
      i > 0 && calls[i - 1].rfind("rename checkpoints/.", 0) == 0 && calls[i] == "fsync checkpoints";
  if (after_link && calls[i - 1].find(".tmp checkpoints/step-") == std::string::npos) return true;
  for (const char* name :
       {"/.last.tmp", "/.best.tmp", "index.html", "run_data.js", "log.jsonl", "tensorboard"})
    if (call.find(name) != std::string::npos) return true;
  return false;
}

/// Every call of a run, or a share of them by ITO_KILLS, ends it or fails; then it goes on.
void disturb(int error) {
  const SmallRun run = three_saves();
  const TempFolder place(memory_folder());
  const auto calls = calls_of(run, place / "straight");
  const auto want = contents_of(place / "straight/checkpoints");
  const std::vector<int64_t> turns = turns_of(calls);
  REQUIRE(turns.size() > 100);
  const size_t stride = std::max<size_t>(1, turns.size() / size_t(tests::wanted_kills()));
  for (size_t i = stride / 2; i < turns.size(); i += stride) {
    const int64_t chosen = turns[i];
    CAPTURE(calls[size_t(chosen)]);
    const fs::path folder = place / "disturbed";
    fs::create_directories(folder);
    const int status = wait_for(start([&] {
      tap = Tap{folder.string(), {}, chosen, error};
      run.train(folder);
    }));
    const bool removes = calls[size_t(chosen)].find("checkpoints/.removing-") != std::string::npos;
    const bool harmless = removes || is_display(calls, size_t(chosen));
    CHECK(status == (!error ? -SIGKILL : harmless ? 0 : 1));
    CHECK(wait_for(start([&] { run.train(folder); })) == 0);
    CHECK(contents_of(folder / "checkpoints") == want);
    fs::remove_all(folder);
  }
  MESSAGE(turns.size() << " calls, every " << stride << ". of them disturbed");
}

TEST_CASE("killed at any call, a run goes on and ends with the same bytes") { disturb(0); }
TEST_CASE("where any call fails for want of space, a run ends, goes on later and has the same bytes") {
  disturb(ENOSPC);
}

}  // namespace
}  // namespace ito::model
