#pragma once

#include <string>
#include <vector>

#include "model/training/options.h"

namespace ito::model {

/// What diffusers' scheduler_config.json says: the meaning of a network's output, and how its authors draw.
struct Scheduler {
  DiffusionOptions diffusion;
  SamplerOptions sampler;
  std::vector<std::string> notes;
};

/// Reads the configuration of a DDPMScheduler, DDIMScheduler or PNDMScheduler. Every key is taken up, or must have the
/// one value that Ito has, a key that is missing having diffusers' default; keys that begin with "_" mean nothing but
/// _class_name. `file` is what errors call the text. Error: not JSON, another scheduler, an unknown key, a value that
/// Ito does not have (key, value and what is allowed are named).
Scheduler scheduler_from_json(const std::string& text, const std::string& file = "scheduler_config.json");

}  // namespace ito::model
