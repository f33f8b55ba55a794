#include "model/training/run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/io/atomic_folder.h"
#include "kernels/base/error.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConvPlan = "conv_plan.txt";

/// Removes what a killed process was writing or removing among the checkpoints; the run is locked, so that no process
/// still is.
void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;  // a leftover does no harm
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().filename().string()[0] == '.') leftovers.push_back(entry.path());
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover, ignored);
}

/// Locks the run for this process; the kernel releases the lock of a killed one. `note` is set if there are no locks.
File lock_run(const fs::path& path, std::string& note) {
  const fs::path name = path / ".lock";
  File lock = File::try_open(name, File::Mode::lock);
  if (!lock.is_open())
    fail_advising(cat("cannot write into ", path.string()), {"another {out}", "other permissions"});
  const File::Lock locked = lock.try_lock();
  if (locked == File::Lock::impossible)
    note = cat(name.string(), " cannot be locked (", std::strerror(errno),
               "): nothing will keep a second process from training into this folder, so do not start one");
  if (locked == File::Lock::taken) {
    char other[32] = {};
    lock.read_at(0, other, sizeof other - 1);
    fail_advising(cat("process ", other, " is training into ", path.string()),
                  {"again once it has ended", "another {out}"});
  }
  const std::string self = std::to_string(getpid());
  try {
    lock.truncate(0);
    lock.write_at(0, self.data(), self.size());
  } catch (const FileError&) {
    fail(cat("cannot write into ", path.string(), ": is the disk full?"));
  }
  return lock;
}

}  // namespace

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return name;
}

std::optional<int64_t> step_of_name(const std::string& name) {
  long long step = 0;
  char rest = 0;
  if (std::sscanf(name.c_str(), "step-%lld%c", &step, &rest) != 1) return {};
  return step;
}

RunFolder::RunFolder(const fs::path& path) : path_(path) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    fail_advising(cat("the run folder ", path.string(), " is a file"), {"another {out}"});
  for (const char* folder : {"samples", "checkpoints"}) {
    fs::create_directories(path / folder, error);
    if (error)
      fail_advising(cat("cannot make the run folder ", (path / folder).string(), ": ", error.message()),
                    {"another {out}", "other permissions"});
  }
  checkpoint_steps(path);  // fails if they cannot be read: such a run must not begin again
  io::sync_path(path);
  // The folder that holds the run's own name, if it may be read.
  const fs::path parent = io::folder_of(fs::absolute(path).lexically_normal());
  if (access(parent.c_str(), R_OK) == 0) io::sync_path(parent);
  lock_ = lock_run(path, note_);
  for (const char* folder : {"checkpoints", "power_ema"}) remove_leftovers(path / folder);
}

RunFolder RunFolder::of_rank_0(const fs::path& path) {
  RunFolder folder;
  folder.path_ = path;
  return folder;
}

fs::path RunFolder::checkpoint(int64_t step) const { return path_ / "checkpoints" / step_name(step); }
fs::path RunFolder::sample_grid(int64_t step) const { return path_ / "samples" / (step_name(step) + ".png"); }
fs::path RunFolder::power_averages(int64_t updates) const {
  return path_ / "power_ema" / (step_name(updates) + ".safetensors");
}

std::string RunFolder::point(const std::string& name, int64_t step) const {
  try {
    io::write_link_atomic(path_ / "checkpoints" / name, step_name(step));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

void RunFolder::remove_checkpoint(int64_t step) const {
  // Renamed first: a folder that is half removed must not look like a checkpoint.
  const fs::path doomed = path_ / "checkpoints" / (".removing-" + step_name(step));
  std::error_code ignored;  // what cannot be removed now is tried again after the next save
  fs::rename(checkpoint(step), doomed, ignored);
  fs::remove_all(doomed, ignored);
}

void RunFolder::write_options(const std::string& json) const {
  io::write_file_atomic(path_ / "options.json", json);
}

std::string RunFolder::conv_plan() const {
  const fs::path file = path_ / kConvPlan;
  return fs::exists(file) ? io::read_file(file) : "";
}
void RunFolder::write_conv_plan(const std::string& text) const {
  io::write_file_atomic(path_ / kConvPlan, text);
}

std::vector<int64_t> checkpoint_steps(const fs::path& run) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (fs::directory_iterator entry(run / "checkpoints", error), end; !error && entry != end;
       entry.increment(error)) {
    // Links and folders under other names are not checkpoints.
    if (const auto step = step_of_name(entry->path().filename())) steps.push_back(*step);
  }
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory)
    fail(cat("cannot read ", (run / "checkpoints").string(), ": ", error.message(),
             "; change its permissions, or choose another run"));
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<fs::path> newest_checkpoint(const fs::path& run) {
  return checkpoint_before(run, std::numeric_limits<int64_t>::max());
}

std::optional<fs::path> checkpoint_before(const fs::path& run, int64_t step) {
  const std::vector<int64_t> steps = checkpoint_steps(run);
  const auto next = std::lower_bound(steps.begin(), steps.end(), step);
  if (next == steps.begin()) return {};
  return run / "checkpoints" / step_name(*std::prev(next));
}

std::optional<fs::path> newest_run(const fs::path& runs) {
  std::optional<fs::path> newest;
  fs::file_time_type newest_time;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(runs, none)) {
    const auto checkpoint = newest_checkpoint(entry.path());
    if (!checkpoint) continue;
    const auto time = fs::last_write_time(*checkpoint);
    if (!newest || time > newest_time) newest = entry.path(), newest_time = time;
  }
  return newest;
}

}  // namespace ito::model
