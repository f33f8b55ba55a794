#pragma once

#include <algorithm>

#include "model/training/checkpoint.h"
#include "tests/mpi_program.h"
#include "tests/program.h"

/// Runs of ./train_celeba on drawn faces as several ranks, and one to compare them with.
namespace ito::tests {

inline const std::string kTrain = ITO_APP_DIR "/train_celeba ";
inline const std::string kShape =
    "faces --preset tiny --size 16 --batch 2 --accumulate 4 --dropout 0.1 --threads 1 --cache cache";
/// A run of 24 steps with all that could make resuming or sharing inexact.
inline const std::string kRun =
    kShape +
    " --attributes=Smiling,Eyeglasses --steps 24 --save-every 3 --validate-count 8"
    " --ema 0.9 --sample-every 8 --sample-count 4 --sample-steps 3";

/// Drawn faces, decoded, and folders of runs next to them; made once.
struct Place {
  TempFolder folder{memory_folder()};
  Place() {
    REQUIRE(run_program(folder.path(), "make_faces faces --count 40 --seed 3").code == 0);
    REQUIRE(run_program(folder.path(), "make_faces others --count 41 --seed 4").code == 0);
  }
  std::filesystem::path operator/(const std::string& name) const { return folder / name; }
  /// Until its end; `line`: of the shell.
  LaunchEnd run(const std::string& name, const std::string& line) const {
    return Launch(folder.path(), name, line).end();
  }
  /// The run NAME/run of so many ranks.
  LaunchEnd train(const std::string& name, int ranks, const std::string& options) const {
    return run(name, command(name, ranks, options));
  }
  static std::string command(const std::string& name, int ranks, const std::string& options) {
    return "exec " + kLaunch + std::to_string(ranks) + " " + kTrain + options + " --out " + name + "/run";
  }
};

inline const Place& place() {
  static const Place made;
  return made;
}

/// What is equal after a kill, too: the log may then lack lines behind the last checkpoint that were made again.
inline std::map<std::string, std::string> kept_by(const std::filesystem::path& run) {
  std::map<std::string, std::string> kept = contents_of(run / "checkpoints");
  for (auto& [name, text] : contents_of(run / "samples")) kept["samples/" + name] = text;
  return kept;
}

/// kRun on one rank, never interrupted.
inline const std::filesystem::path& straight() {
  static const std::filesystem::path run = [] {
    REQUIRE(place().train("straight", 1, kRun).code == 0);
    return place() / "straight/run";
  }();
  return run;
}

/// The run goes on with so many ranks and ends as one that was never interrupted.
inline void check_goes_on(const std::string& name, int ranks) {
  CAPTURE(ranks);
  const LaunchEnd end = place().train(name, ranks, kRun);
  CAPTURE(end.err);
  CHECK(end.code == 0);
  CHECK(kept_by(place() / (name + "/run")) == kept_by(straight()));
  std::filesystem::remove_all(place() / name);
}

inline int lines_in(const std::string& text) { return int(std::count(text.begin(), text.end(), '\n')); }

inline bool has_checkpoint(const std::string& name) {
  return model::newest_checkpoint(place() / (name + "/run")).has_value();
}

}  // namespace ito::tests
