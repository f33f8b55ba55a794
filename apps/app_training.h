#pragma once

#include <optional>
#include <string>

#include "apps/console/flags.h"
#include "data/crop.h"
#include "data/dataset.h"
#include "model/training/options.h"
#include "model/unet/presets.h"

/// train_celeba's flags and what they mean.
namespace ito::apps {

/// Everything that is asked of a training but the run's own options (model/training/options.h).
struct TrainingRequest {
  std::string data, out;
  std::optional<std::string> preset;
  std::optional<int64_t> epochs;
  std::optional<double> minutes, probe;
  std::string size, split, cache = "runs/cache", inception;
  std::optional<data::Crop> crop;
  bool attributes = false, dry_run = false;
  int64_t fid_every = 0;
  std::optional<int64_t> fid_count;
  engine::DeviceChoice device = engine::DeviceChoice::automatic;
  int threads = 0;
};

template <FieldsOf<TrainingRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.data, {.name = "data",
                 .help = "CelebA's folder or zip, or any folder or zip of images",
                 .flag = "data",
                 .required = true});
  visit(o.out, {.name = "out",
                .help = "the run's folder; repeating the command resumes it",
                .fallback = "runs/<folder>-<preset>"});
  visit(o.preset, {.name = "preset",
                   .help = "network: " + model::preset_names(),
                   .fallback = "small; celeba64 on a GPU"});
  visit(o.epochs,
        {.name = "epochs", .help = "passes over the images instead of --steps", .range = from(1).to(1e9)});
  visit(o.minutes,
        {.name = "minutes",
         .help = "or as many steps as fit this time, found by a ten-second probe when the run starts",
         .range = above(0).to(1e7)});
  visit(o.probe, {.name = "probe",
                  .help = "measure for so many seconds, print images per second, and train nothing",
                  .range = above(0).to(1e6)});
  visit(o.dry_run,
        {.name = "dry_run", .help = "print options, parameters, FLOPs, memory and time, and train nothing"});
  visit(o.size, {.name = "size", .help = "image size, N or HxW", .fallback = "the preset's"});
  visit(o.crop,
        {.name = "crop", .help = "part of the picture", .fallback = "ddim128 for CelebA, none for a folder"});
  visit(o.split, {.name = "split",
                  .help = "train, valid, test or all",
                  .fallback = "train for CelebA, all for a folder"});
  visit(o.cache, {.name = "cache", .help = "folder of the decoded images"});
  visit(o.attributes, {.name = "attributes", .help = "condition the network on CelebA's 40 attributes"});
  visit(o.fid_every,
        {.name = "fid_every",
         .help = "steps between measurements of FID, which take long; 0: none (needs --inception)",
         .range = from(0).to(engine::kMostSteps)});
  visit(o.fid_count, {.name = "fid_count",
                      .help = "images that a FID is measured on; compare only equal numbers",
                      .range = from(2).to(1e9),
                      .fallback = "1000"});
  visit(o.inception,
        {.name = "inception",
         .help = "weights of the FID network: pt_inception-2015-12-05-6726825d.pth or .safetensors"});
  visit(o.device, {.name = "device", .help = "where to run"});
  visit(o.threads, {.name = "threads", .help = "CPU threads; 0: all", .range = kThreads});
}

/// All of train_celeba's flags.
void add_flags(Flags& flags);

/// What flags ask for, checked: so that a mistyped flag is reported before any image is decoded.
TrainingRequest training_request(const Flags& flags);

/// The run's options as far as flags, the device and a run that has begun determine them, checked. Prints what was
/// chosen for the device.
model::TrainingOptions training_options(const Flags& flags, TrainingRequest& request,
                                        engine::Backend backend);
/// Opens the images in that size, decoding them (with progress) where no cache has them yet.
data::Dataset open_images(const TrainingRequest& request, const model::TrainingOptions& options);
/// The images to validate on: CelebA's valid split, where the run learns from another one; else nothing, and
/// a sentence that says so.
std::optional<data::Dataset> open_validation(const TrainingRequest& request,
                                             const model::TrainingOptions& options,
                                             const data::Dataset& images);
/// Adds what the images determine: the crop's name, the steps of --epochs, the condition's numbers.
void complete(model::TrainingOptions& options, const TrainingRequest& request, const data::Dataset& images);
/// --out, or runs/<folder>-<preset>.
std::string run_path(const TrainingRequest& request);
/// The options of the run there, where one has begun.
std::optional<model::TrainingOptions> options_of_run(const std::string& run);
/// The flags that ask for these options, wrapped for a terminal.
std::string flags_text(const model::TrainingOptions& options);

}  // namespace ito::apps
