#pragma once

#include <string>
#include <vector>

#include "engine/optimizer.h"
#include "model/diffusion/noise_level.h"
#include "model/diffusion/objective.h"
#include "model/unet/config.h"

namespace ito::model {

/// What turns a network's output into scores: stored with every checkpoint, needed to sample.
struct DiffusionOptions {
  SdeOptions sde;
  Preconditioning preconditioning;
  Weighting weighting = Weighting::edm;
  double min_snr_gamma = 5;
  NoiseLevelDraw draw;
};

/// A training run, completely: with the images, these determine every bit of its checkpoints.
struct TrainingOptions {
  std::string preset = "small";
  NetworkConfig network;
  DiffusionOptions diffusion;
  engine::OptimizerOptions optimizer;
  int batch = 32;
  int accumulate = 1;      // batches whose gradients are added before an update
  int64_t steps = 100000;  // updates in all
  uint64_t seed = 0;
  bool flip = true;               // mirror half of the images at random
  double drop_condition = 0.1;    // share of samples that are shown no condition
  std::string precision = "f32";  // or bf16
  std::string conv = "ours";      // convolutions on a GPU: or cudnn, auto
  std::string crop = "none";
  int64_t save_every = 1000, sample_every = 1000;
  int sample_count = 64;       // images of the grids
  int sample_steps = 18;       // Heun steps of the grids
  int keep = 2;                // checkpoints kept beside the best
  int64_t validate_every = 0;  // steps between validations; 0: at each save
  int validate_count = 256;    // images of a validation; 0: none
  int max_bad_steps = 10;      // steps in a row that are not finite, after which a run stops
};

/// Fails, saying what to change, unless the options make a run.
void check(const TrainingOptions& options);

/// Sets the number of steps and, with it, what the learning rate's decay aims at.
void set_steps(TrainingOptions& options, int64_t steps);

/// The type that the network computes in.
engine::DType compute_type(const TrainingOptions& options);

/// All options as JSON with sorted keys, the same bytes for the same options.
std::string to_json(const TrainingOptions& options);
TrainingOptions training_options_from_json(const std::string& text);

/// The options that differ between two runs, as "batch: 32 there, 64 now"; those that may change in a resumed
/// run (steps, max_bad_steps, keep and what is said of saving, validating and sampling but --validate-count)
/// are left out.
std::vector<std::string> differences(const TrainingOptions& there, const TrainingOptions& now);

}  // namespace ito::model
