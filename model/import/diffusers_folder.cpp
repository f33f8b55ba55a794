#include <algorithm>
#include <array>

#include "engine/io/atomic_file.h"
#include "model/import/foreign_model.h"
#include "model/import/scheduler.h"

namespace ito::model {

namespace fs = std::filesystem;

namespace {

/// The first of the places that there is. Error: none.
fs::path first_of(const fs::path& folder, const std::vector<std::string>& places, const char* what) {
  for (const std::string& place : places)
    if (fs::exists(folder / place)) return folder / place;
  std::string list;
  for (const std::string& place : places) list += (list.empty() ? "" : ", ") + place;
  fail(cat(folder.string(), " has no ", what, "; one of these is expected: ", list));
}

constexpr std::array kWeightFiles = {"diffusion_pytorch_model.safetensors",
                                     "diffusion_pytorch_model.safetensors.index.json",
                                     "diffusion_pytorch_model.bin",
                                     "diffusion_pytorch_model.bin.index.json",
                                     "diffusion_pytorch_model.fp16.safetensors",
                                     "diffusion_pytorch_model.fp16.bin"};

ForeignTensors weights_in(const fs::path& file) {
  if (file.extension() == ".json") return indexed_tensors(file);
  return file.extension() == ".safetensors" ? safetensors_tensors(file) : torch_tensors(file);
}

/// Before 2023 the parts of an attention had other names.
std::string older_name(std::string name) {
  constexpr std::pair<const char*, const char*> kParts[] = {
      {".to_q.", ".query."}, {".to_k.", ".key."}, {".to_v.", ".value."}, {".to_out.0.", ".proj_attn."}};
  for (const auto& [newer, older] : kParts)
    if (const size_t at = name.find(newer); at != std::string::npos)
      return name.replace(at, std::string_view(newer).size(), older);
  return name;
}

}  // namespace

ForeignModel diffusers_model(const fs::path& folder) {
  if (!fs::is_directory(folder)) fail(cat(folder.string(), " is no folder: diffusers saves a model as one"));
  const fs::path config = first_of(folder, {"unet/config.json", "config.json"}, "configuration of a network");
  const fs::path scheduler = first_of(folder, {"scheduler/scheduler_config.json", "scheduler_config.json"},
                                      "scheduler, which says what the network's numbers mean");
  ForeignModel model;
  model.format = "diffusers";
  model.file = first_of(config.parent_path(), {kWeightFiles.begin(), kWeightFiles.end()}, "weights");
  const Scheduler read = scheduler_from_json(io::read_file(scheduler), scheduler.string());
  TrainingOptions& o = model.options;
  o.preset = "imported";
  o.network = network_config_from_json(io::read_file(config), config.string());
  if (o.network.embedding == EmbeddingKind::fourier)
    fail(cat(config.string(),
             ": time_embedding_type must be \"positional\" with the schedulers that Ito reads, since "
             "\"fourier\" takes "
             "the logarithm of a noise level, and not its index"));
  o.diffusion = read.diffusion, o.own_sampler = read.sampler, model.notes = read.notes;
  model.tensors = weights_in(model.file);
  const bool older = std::any_of(model.tensors.begin(), model.tensors.end(), [](const ForeignTensor& tensor) {
    return tensor.name.find(".query.") != std::string::npos;
  });
  model.part_of = [older](const std::string& name) { return ForeignPart{older ? older_name(name) : name}; };
  if (model.file.string().find(".fp16.") != std::string::npos)
    model.notes.emplace_back("the weights were rounded to half precision by who published them");
  return model;
}

}  // namespace ito::model
