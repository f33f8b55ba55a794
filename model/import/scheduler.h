#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "model/training/options.h"

namespace ito::model {

/// What diffusers' scheduler_config.json says: the meaning of a network's output, and how its authors draw.
struct Scheduler {
  DiffusionOptions diffusion;
  SamplerOptions sampler;
  bool learned_variance = false;  // the network has as many outputs again, for variances of steps
  std::vector<std::string> notes;
};

/// A note of models whose learned variances are left out.
inline constexpr const char* kWithoutVariances =
    "the network's variances are left out: its authors' ancestral steps need them, DDIM does not, and draws";

/// Reads the configuration of a DDPMScheduler, DDIMScheduler, PNDMScheduler or CMStochasticIterativeScheduler. Every
/// key is taken up, or must have the one value that Ito has, a key that is missing having diffusers' default; keys that
/// begin with "_" mean nothing but _class_name. `file` is what errors call the text. Error: not JSON, another
/// scheduler, an unknown key, a value that Ito does not have (key, value and what is allowed are named).
Scheduler scheduler_from_json(const std::string& text, const std::string& file = "scheduler_config.json");

/// The other way: a folder of diffusers'. An imported model's draws the same images there from the same noise.
struct DiffusersFiles {
  std::string scheduler;  // scheduler/scheduler_config.json
  std::string index;      // model_index.json
  std::string pipeline;   // its class
  std::string call;       // what the pipeline is called with, to draw as Ito does: "num_inference_steps=100"
  std::string note;       // where it draws other images all the same; else empty
};
/// Those of a model with a table of noise levels whose own sampler diffusers has: DDIM, or DDPM's ancestral steps. None
/// for every other model; `why` then says what diffusers lacks.
std::optional<DiffusersFiles> diffusers_files(const TrainingOptions& options, std::string* why = nullptr);
/// Writes them, where there are any, into a checkpoint's folder.
void write_diffusers_files(const std::filesystem::path& folder, const TrainingOptions& options);

}  // namespace ito::model
