#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "model/training/options.h"

/// train_celeba's flags and what they mean.
namespace ito::apps {

struct TrainingFlags {
  std::string data, out, preset, sde, prediction, noise_condition, weighting, level_draw, crop, size,
      embedding, decay = "constant";
  std::string device = "auto", conv = "ours", cache = "runs/cache", split, precision = "f32";
  std::optional<int64_t> steps, epochs, fid_count;
  int64_t save_every = 1000, sample_every = 1000, validate_every = 0, fid_every = 0;
  std::string inception;
  int validate_count = 256, max_bad_steps = 10;
  int batch = 32, accumulate = 1, threads = 0, sample_count = 64, sample_steps = 18, keep = 2;
  double lr = 2e-4, weight_decay = 0, clip = 1, ema = 0.9999, final_lr = 0, dropout = 0;
  double sigma_min = 0.002, sigma_max = 80, beta_min = 0.1, beta_max = 20, base = 0, p_mean = -1.2,
         p_std = 1.2, drop_condition = 0.1;
  int64_t warmup = 500;
  uint64_t seed = 0;
  double probe = 0;
  std::optional<double> minutes;
  bool dry_run = false, no_flip = false, attributes = false;
};

void add_flags(CLI::App& app, TrainingFlags& flags);

/// The run's options as far as flags determine them, checked: so that a mistyped flag is said before any
/// image is decoded.
model::TrainingOptions training_options(const TrainingFlags& flags);
/// Opens the images in that size, decoding them (with progress) where no cache has them yet.
data::Dataset open_images(const TrainingFlags& flags, const model::TrainingOptions& options);
/// The images to validate on: CelebA's valid split, where the run learns from another one; else nothing, and
/// a sentence that says so.
std::optional<data::Dataset> open_validation(const TrainingFlags& flags,
                                             const model::TrainingOptions& options,
                                             const data::Dataset& images);
/// Adds what the images determine: the crop's name, the steps of --epochs, the condition's numbers.
void complete(model::TrainingOptions& options, const TrainingFlags& flags, const data::Dataset& images);
/// --out, or runs/<folder>-<preset>.
std::string run_path(const TrainingFlags& flags);

}  // namespace ito::apps
