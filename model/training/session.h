#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "model/training/run_folder.h"
#include "model/training/trainer.h"

namespace ito::model {

/// Where a run stands, for people.
struct Progress {
  int64_t step = 0, steps = 0;   // done, in all
  double loss = 0;               // mean over the latest steps
  double images_per_second = 0;  // of training alone, grids and saving left out
  double seconds_left = 0;       // everything included, as it went so far
  int64_t skipped = 0;           // steps whose gradient was not finite
};

/// What the program around a run does for it.
struct SessionHooks {
  std::function<bool()> interrupted = [] { return false; };  // asked after each step: true saves and ends
  std::function<void(const Progress&)> report = [](const Progress&) {};
  std::function<void(const std::string&)> note = [](const std::string&) {};  // a sentence worth reading
  std::function<void(const std::filesystem::path&)> saved = [](const std::filesystem::path&) {};
  /// Writes a grid of u8 [count,H,W,C] pixels as a picture.
  std::function<void(const std::filesystem::path&, const std::vector<uint8_t>& pixels, int count, int height,
                     int width)>
      write_grid;
};

struct SessionResult {
  bool finished = false;  // false: interrupted, saved
  Progress progress;
  std::filesystem::path checkpoint;  // the newest
  int64_t images = 0;                // learned from in this session
  double training_seconds = 0;       // without grids and saving
};

/// Goes on from the folder's newest checkpoint, if there is one, until options.steps or an interruption.
/// Logs, draws grids and saves on the way; what is logged or drawn never changes what is learned.
SessionResult run_session(engine::Device&, Trainer&, const RunFolder&, const SessionHooks&);

/// Grid of `count` images from the EMA weights: seeds 0.., Heun. u8 [count,H,W,C].
std::vector<uint8_t> sample_ema(engine::Device&, Trainer&, int count, int steps);

}  // namespace ito::model
