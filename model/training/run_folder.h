#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/file.h"

namespace ito::model {

/// A run's folder:
///   options.json                    resolved options of the latest start
///   log.jsonl, index.html, run_data.js, tensorboard/   see run_journal.h
///   samples/step-00001000.png       grids from the EMA weights, always the same noise
///   conv_plan.txt                   which convolutions cuDNN computes, if a GPU run has timed them
///   checkpoints/step-00001000/      see checkpoint.h
///   checkpoints/last, best, guide   links to some of them, see retention.h
///   power_ema/step-00001000.safetensors   averages with --power-ema, see power_average.h
class RunFolder {
 public:
  /// Opens or makes it, and removes what a killed process left half done. Error: not a folder, not readable
  /// or writable, or another process is training into it (with its number). If the file
  /// system has no locks, that cannot be known, and the note says so.
  explicit RunFolder(const std::filesystem::path& path);
  /// The folder that another rank holds: for the names of its files alone.
  static RunFolder of_rank_0(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoint(int64_t step) const;
  std::filesystem::path sample_grid(int64_t step) const;
  /// Where power averages are saved after this many updates.
  std::filesystem::path power_averages(int64_t updates) const;
  /// What the user should know about the folder; empty if nothing.
  const std::string& note() const { return note_; }
  /// Points the link checkpoints/`name` to a checkpoint, durably. Returns why it cannot, e.g. because the file system
  /// has no links; nothing depends on them.
  std::string point(const std::string& name, int64_t step) const;
  /// It disappears from the checkpoints at once, even if the removal of its files is interrupted.
  void remove_checkpoint(int64_t step) const;
  void write_options(const std::string& json) const;
  /// Empty if there is none.
  std::string conv_plan() const;
  void write_conv_plan(const std::string& text) const;

 private:
  RunFolder() = default;
  std::filesystem::path path_;
  File lock_;
  std::string note_;
};

/// "step-00001000"
std::string step_name(int64_t step);
/// The step of a name like that; none: it is another name.
std::optional<int64_t> step_of_name(const std::string& name);
/// The steps of a run's checkpoints, ascending; empty if there is no such folder. Error: it cannot be read.
std::vector<int64_t> checkpoint_steps(const std::filesystem::path& run);
/// The newest complete checkpoint of a run, if any.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& run);
/// The newest one of fewer steps than this.
std::optional<std::filesystem::path> checkpoint_before(const std::filesystem::path& run, int64_t step);
/// The run below `runs` with the newest checkpoint, if any.
std::optional<std::filesystem::path> newest_run(const std::filesystem::path& runs);

}  // namespace ito::model
