#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "model/diffusion/sampler.h"
#include "model/training/meter.h"
#include "model/training/run_folder.h"
#include "model/training/trainer.h"

namespace ito::model {

/// What the program does for a run.
struct SessionHooks {
  /// Gives a run with options.from its weights, before its first step; returns what the user should know about them.
  std::function<std::vector<std::string>()> begin;
  std::function<bool()> interrupted = [] { return false; };  // called often: true saves and ends
  std::function<void(const Progress&)> report = [](const Progress&) {};
  std::function<void(const std::string&)> note = [](const std::string&) {};  // a sentence worth reading
  std::function<void(const std::filesystem::path&)> saved = [](const std::filesystem::path&) {};
  /// Writes grids of u8 [count,H,W,C] pixels, one for each of grid_samplers(), as one picture; of sample_count images,
  /// but at most most_in_grid.
  int most_in_grid = std::numeric_limits<int>::max();
  std::function<void(const std::filesystem::path&, const std::vector<std::vector<uint8_t>>& grids, int count)>
      write_grid;
  /// FID of what the averaged weights draw, every fid_every steps and after the last one; nothing if it was
  /// interrupted.
  int64_t fid_every = 0;  // 0: never
  std::function<std::optional<double>()> fid;
};

struct SessionResult {
  bool finished = false;  // false: interrupted, saved, and maybe something is still owed (CheckpointRecord)
  Progress progress;
  std::filesystem::path checkpoint;  // the newest
  int64_t images = 0;                // learned from in this session
  double training_seconds = 0;       // without grids and saving
};

/// Goes on from the folder's newest checkpoint, if there is one, until options.steps or an interruption. A run that
/// begins from other weights first makes a checkpoint of step 0, with all that is due at one, and needs their source
/// no more. Logs, draws grids, validates and saves on the way, none of which changes what is learned. An interruption
/// ends the grid, FID or validation under way within one evaluation of the network, and saves; what is not made
/// then is made by the next start, before its first step. `held_out`: the images to validate on; null: some of
/// those that are learned from. A grid or an FID that cannot be made is noted, and training goes on. Error: what
/// RunFolder and checkpoints report; max_bad_steps in a row that were not finite. The last good checkpoint is always
/// kept.
/// The device's ranks run it together: rank 0 reads checkpoints, which the others receive, and writes everything;
/// grids, FID and validation are shared; an interruption of one ends all after the same step, or of a shared work when
/// the others have done their parts.
SessionResult run_session(engine::Device&, Trainer&, const RunFolder&, const SessionHooks&,
                          const ImageSet* held_out = nullptr);

/// Images of these seeds from the EMA weights, by a sampler of the run's grids. u8 [seeds,H,W,C]. Where the run names
/// its attributes, each image has those of an image that is learned from (varied_denoiser); where it has classes, one
/// of these.
std::vector<uint8_t> sample_ema(engine::Device&, Trainer&, const SamplerSettings&,
                                const std::vector<uint64_t>& seeds, const SampleProgress& progress = {});
/// The same by grid_sampler().
std::vector<uint8_t> sample_ema(engine::Device&, Trainer&, const std::vector<uint64_t>& seeds,
                                const SampleProgress& progress = {});

}  // namespace ito::model
