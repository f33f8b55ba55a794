#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/import/adm_flags.h"
#include "model/import/foreign_tensors.h"
#include "model/training/options.h"

/// Models that other programs trained, on their way to a checkpoint of Ito's: docs/import.md. Nothing in a file is
/// executed, and nothing is guessed: what a file does not say, and what this network does not have, is refused by name.
namespace ito::model {

/// Where one of our parameters is in a file: in a tensor, or in some of its rows, along its first extent.
struct ForeignPart {
  std::string tensor;
  std::vector<int64_t> rows = {};  // in our order; empty: all
};

/// A model in another program's files, understood.
struct ForeignModel {
  std::string format;                                      // "diffusers"
  std::string name;                                        // of the model's folder, where it is one
  std::filesystem::path file;                              // of the weights, or their index
  std::vector<std::filesystem::path> parts;                // that the index names
  TrainingOptions options;                                 // network, diffusion, own sampler, crop
  ForeignTensors tensors;                                  // those to be used, under their file's names
  std::function<ForeignPart(const std::string&)> part_of;  // of one of our parameters
  std::map<std::string, int64_t> left_out;                 // rows of a tensor that no parameter takes
  /// Changes a piece of a parameter's numbers, of which there have been so many before; empty: nothing is changed.
  std::function<void(const std::string&, size_t before, std::vector<float>&)> change;
  std::vector<std::string> notes;  // what a user should know
  std::string licence;             // what is known about it
  std::string flags;               // of the program that trained it, where they say what it is
};

/// One class is to mean none, as in models that were trained with a share of their images in it: its embedding is taken
/// from the others' and added to what all images get, which changes no output, and makes guidance possible. Error: the
/// model has no such class.
void use_null_class(ForeignModel& model, int null_class);

/// A folder as diffusers' pipelines are saved: unet/config.json, unet/diffusion_pytorch_model.* and
/// scheduler/scheduler_config.json, or the same without the two inner folders. Error: no such folder; another network
/// or scheduler; a setting that Ito does not have (key, value and what is allowed are named).
ForeignModel diffusers_model(const std::filesystem::path& folder, std::optional<int> null_class = {});

/// What a file of ermongroup/ddim or pesser/pytorch_diffusion does not say.
struct DdimChoice {
  std::optional<int> size =
      {};            // pixels a side; none: from where the attention is, which all published ones have at 16
  bool raw = false;  // the weights of the last step in place of their average
};
/// Their checkpoint: torch.save of [model, optimizer, epoch, step, EMA], or of one dict of weights. The network
/// follows from the tensors' names and shapes; noise levels are those of all their configurations: beta linear from
/// 1e-4 to .02 over 1,000. Error: not such a file, or nothing says the size.
ForeignModel ddim_model(const std::filesystem::path& file, const DdimChoice& choice = {});

/// What a file of ADM's family does not say.
struct AdmChoice {
  std::string flags;                   // of the program, as its README has them (adm_flags.h)
  std::optional<AdmCode> code = {};    // the program; none: the one that the flags are of
  std::optional<int> null_class = {};  // use_null_class
};
/// A file of improved-diffusion, guided-diffusion, DDPM-IP or consistency_models: a dict of weights. Error: not such a
/// file, or of another network than the flags describe.
ForeignModel adm_model(const std::filesystem::path& file, const AdmChoice& choice);

/// Which of the formats a file of torch.save is by its tensors' names: "ddim", "adm", "diffusers", or "" for none.
std::string recognised_format(const ForeignTensors& tensors);

/// What an import reports.
struct Imported {
  int64_t parameters = 0;
  int64_t tensors = 0;
};
/// Writes the model as a checkpoint folder that ./sample, ./evaluate, ./inspect and --from take, and import.json, where
/// it came from: format, file, SHA-256, notes. One tensor at a time is in memory. Error: a parameter is missing, of
/// another shape or not finite; a tensor belongs to no parameter.
/// `before_each` is called before each tensor, and may throw.
Imported write_imported(const std::filesystem::path& folder, const ForeignModel& model,
                        const std::function<void()>& before_each = {});

}  // namespace ito::model
