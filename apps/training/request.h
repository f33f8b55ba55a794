#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/console/flags.h"
#include "data/celeba_files/celeba.h"
#include "data/dataset.h"
#include "data/pictures/crop.h"
#include "engine/gradient_tree.h"
#include "model/training/options.h"
#include "model/training/recipe.h"
#include "model/unet/presets.h"

/// train_celeba's flags and what they mean.
namespace ito::apps {

/// Everything that flags ask of a training, except for the run's own options (model/training/options.h).
struct TrainingRequest {
  std::string data, out, from;
  std::optional<std::string> preset;
  model::Recipe recipe = model::Recipe::none;
  std::optional<int64_t> epochs;
  std::optional<double> minutes, probe;
  std::string size, split, cache = "runs/cache", inception;
  std::optional<data::Crop> crop;
  data::Orientation orientation = data::Orientation::upright;
  std::optional<std::string> attributes;  // "": all; else "NAME,NAME"
  bool classes = false;
  bool dry_run = false, new_data = false;
  int64_t fid_every = 0;
  int64_t fid_count = 1000;
  engine::DeviceChoice device = engine::DeviceChoice::automatic;
  int threads = 0;
  engine::Reduction reduce = engine::Reduction::exact;
  double stuck_after = 600;
};

template <FieldsOf<TrainingRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  visit(o.data,
        Field("data", "CelebA's folder or zip, or any folder or zip of images").as("data").required());
  visit(o.out, Field("out", "the run's folder; repeating the command resumes it")
                   .otherwise("runs/<folder>-<preset>, or runs/<folder>-from-<run>"));
  visit(o.from, Field("from", "a run or checkpoint whose averaged weights the run begins with: fine-tuning")
                    .otherwise("random weights"));
  visit(o.preset, Field("preset", "network")
                      .one_of(model::preset_names())
                      .otherwise("small; celeba64 on a GPU; that of --from"));
  visit(o.recipe,
        Field("recipe",
              "best: Muon, patches of 2 and a learned weighting, for runs of minutes (docs/recipes.md), "
              "where flags do not say otherwise (a switch as --learn-weighting=false)"));
  visit(o.epochs, Field("epochs", "passes over the images instead of --steps", from(1).to(1e9)));
  visit(o.minutes,
        Field("minutes", "or as many steps as fit this time, found by a ten-second probe when the run starts",
              above(0).to(1e7)));
  visit(o.probe, Field("probe", "measure for so many seconds, print images per second, and train nothing",
                       above(0).to(1e6)));
  visit(o.dry_run, Field("dry_run", "print options, parameters, FLOPs, memory and time, and train nothing"));
  visit(o.size, Field("size", "image size, N or HxW").otherwise("the preset's, or that of --from"));
  visit(o.crop, Field("crop", "part of the picture").otherwise("ddim128 for CelebA, none for a folder"));
  visit(o.orientation, data::orientation_field());
  visit(o.split, Field("split", "of CelebA")
                     .one_of(data::split_names())
                     .otherwise("train for CelebA, all for a folder"));
  visit(o.cache, Field("cache", "folder of the decoded images"));
  visit(o.new_data,
        Field("new_data", "a run that goes on learns from these images, though it began with others"));
  visit(o.attributes,
        Field("attributes", "condition the network on the pictures' attributes: CelebA's 40, or those named")
            .may_be_bare("[=NAME,...]"));
  visit(o.classes,
        Field("classes",
              "condition the network on the pictures' classes: the folders in DATA that they lie in"));
  visit(o.fid_every,
        Field("fid_every", "steps between measurements of FID, which take long; 0: none (needs --inception)",
              from(0).to(engine::kMostSteps)));
  visit(o.fid_count,
        Field("fid_count", "images that a FID is measured on; compare only equal numbers", from(2).to(1e9)));
  visit(
      o.inception,
      Field("inception", "weights of the FID network: pt_inception-2015-12-05-6726825d.pth or .safetensors"));
  visit(o.device, Field("device", "where to run"));
  visit(o.threads, Field("threads", "CPU threads; 0: all, of several ranks each its share", kThreads));
  visit(o.reduce, Field("reduce",
                        "how several ranks sum gradients: exact has the bits of one rank, nccl leaves it to "
                        "that library on GPUs"));
  visit(o.stuck_after, Field("stuck_after", "seconds that a rank waits for others before it reports which",
                             above(0).to(1e6)));
}

struct Source;  // apps/training/source.h

/// A run or checkpoint by its path alone, whether it is there or not.
struct SourceName {
  std::string run;              // the folder's name; for a checkpoint in its place that of its run
  std::optional<int64_t> step;  // of a checkpoint that is called by its step
};
SourceName name_of_source(const std::string& run_or_checkpoint);

/// All of train_celeba's flags.
void add_flags(Flags& flags);

/// What flags ask for, checked: so that a mistyped flag is reported before any image is decoded.
TrainingRequest training_request(const Flags& flags);

/// The run's options as far as flags, the device, a run that has begun and the source of its weights determine them,
/// checked. Prints what was chosen for the device. `source`: open_source's.
model::TrainingOptions training_options(const Flags& flags, TrainingRequest& request, engine::Backend backend,
                                        const Source* source = nullptr);
/// Opens the images in that size, decoding them (with progress) if no cache has them yet.
data::Dataset open_images(const TrainingRequest& request, const model::TrainingOptions& options);
/// The images to validate on: CelebA's valid split, if the run learns from another one; else nothing, and a printed
/// note.
std::optional<data::Dataset> open_validation(const TrainingRequest& request,
                                             const model::TrainingOptions& options,
                                             const data::Dataset& images);
/// The names of --attributes=NAME,NAME; none where all are asked for. Error: one is empty, or given twice.
std::vector<std::string> named_attributes(const TrainingRequest& request);
/// Adds what the images determine: the crop's name, the steps of --epochs, the attributes' or classes' names.
void complete(model::TrainingOptions& options, const TrainingRequest& request, const data::Dataset& images);
/// --out, or runs/<folder>-<preset>; with --from runs/<folder>-from-<run>.
std::string run_path(const TrainingRequest& request);
/// The options of the run in that folder, if one has begun.
std::optional<model::TrainingOptions> options_of_run(const std::string& run);
/// Those of its newest checkpoint, if it has one.
std::optional<model::TrainingOptions> options_of_learned(const std::string& run);
/// The flags that ask for these options of a run on these images, wrapped for a terminal.
std::string flags_text(const TrainingRequest& request, const model::TrainingOptions& options);

}  // namespace ito::apps
