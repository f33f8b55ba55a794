#include <algorithm>
#include <array>
#include <sstream>

#include "engine/io/atomic_file.h"
#include "model/import/foreign_model.h"
#include "model/import/scheduler.h"
#include "model/json_value.h"

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
                                     "diffusion_pytorch_model.safetensors.index.fp16.json",
                                     "diffusion_pytorch_model.fp16.bin",
                                     "diffusion_pytorch_model.bin.index.fp16.json"};

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

/// The network of config.json. With learned variances it has twice as many outputs as inputs, of which the first half
/// is taken: `outputs` becomes their number then, else 0.
NetworkConfig network_in(const fs::path& config, bool learned_variance, int64_t& outputs) {
  const std::string text = io::read_file(config);
  outputs = 0;
  if (!learned_variance) return network_config_from_json(text, config.string());
  nlohmann::json j;
  int inputs = 0;
  try {
    j = parse_shallow(text, "it is nested too deeply");
    take(j, "in_channels", inputs), take(j, "out_channels", outputs);
  } catch (const nlohmann::json::exception& e) {
    fail(cat(config.string(), " is not as expected: ", e.what()));
  } catch (const Error& e) {
    e.rethrow_at(config.string());
  }
  if (outputs != 2 * int64_t(inputs))
    fail(cat(config.string(), ": out_channels must be twice in_channels, ", inputs,
             ", since the scheduler's variance_type is learned; is ", outputs));
  j["out_channels"] = j["in_channels"];
  return network_config_from_json(io::json_text(j), config.string());
}

/// What the front of a model's card has as "license: ...", as on Hugging Face.
std::string licence_of(const fs::path& folder) {
  std::istringstream card(fs::exists(folder / "README.md") ? io::read_file(folder / "README.md") : "");
  std::string line;
  for (bool inside = false; std::getline(card, line);) {
    if (line.rfind("---", 0) == 0) {
      if (inside) break;
      inside = true;
    }
    constexpr std::string_view kKey = "license:";
    if (inside && line.rfind(kKey, 0) == 0)
      return line.substr(std::min(line.size(), line.find_first_not_of(" \t", kKey.size())), 80);
  }
  return "not in the folder: see where it came from";
}

}  // namespace

ForeignModel diffusers_model(const fs::path& folder, std::optional<int> null_class) {
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
  int64_t outputs = 0;
  o.network = network_in(config, read.learned_variance, outputs);
  o.learned_variance = read.learned_variance;
  if (o.network.classes) o.drop_condition = 0;  // its pipelines have no images without a class
  model.licence = licence_of(folder);
  if (o.network.embedding == EmbeddingKind::fourier)
    fail(cat(config.string(),
             ": time_embedding_type must be \"positional\" with the schedulers that Ito reads, since "
             "\"fourier\" takes "
             "the logarithm of a noise level, and not its index"));
  o.diffusion = read.diffusion, o.own_sampler = read.sampler, model.notes = read.notes;
  model.tensors = weights_in(model.file);
  model.name = fs::absolute(folder).lexically_normal().filename().string();
  if (model.name.empty())
    model.name = fs::absolute(folder).lexically_normal().parent_path().filename().string();
  if (model.file.extension() == ".json") model.parts = files_of_index(model.file);
  const bool older = std::any_of(model.tensors.begin(), model.tensors.end(), [](const ForeignTensor& tensor) {
    return tensor.name.find(".query.") != std::string::npos;
  });
  std::vector<int64_t> image;  // rows of the last convolution
  for (int64_t row = 0; outputs && row < o.network.channels; ++row) image.push_back(row);
  model.part_of = [older, image](const std::string& name) {
    ForeignPart part{older ? older_name(name) : name};
    if (name.rfind("conv_out.", 0) == 0) part.rows = image;
    return part;
  };
  if (outputs)
    for (const char* name : {"conv_out.weight", "conv_out.bias"})
      model.left_out[name] = outputs - o.network.channels;
  if (null_class) use_null_class(model, *null_class);
  if (model.file.string().find("fp16") != std::string::npos)
    model.notes.emplace_back("the weights were rounded to half precision by who published them");
  return model;
}

}  // namespace ito::model
