#include "model/import/adm_names.h"

namespace ito::model {

namespace {

const ForeignTensor* find(const ForeignTensors& tensors, const std::string& name) {
  for (const ForeignTensor& tensor : tensors)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

/// The weights of a file: at its root, or below one name, such as "module." or "state_dict/".
ForeignTensors weights_in(const std::filesystem::path& file, std::vector<std::string>& notes) {
  const ForeignTensors all = torch_tensors(file, io::TorchContent::tree);
  constexpr std::string_view kFirst = "input_blocks.0.0.weight";
  std::vector<std::string> prefixes;
  for (const ForeignTensor& tensor : all)
    if (tensor.name.ends_with(kFirst))
      prefixes.push_back(tensor.name.substr(0, tensor.name.size() - kFirst.size()));
  if (prefixes.empty()) {
    const std::string format = recognised_format(all);
    fail(cat(file.string(), " is no file of ADM's: it has no ", kFirst,
             format.empty() ? "" : cat("; its tensors are named as those of ", format)));
  }
  if (prefixes.size() > 1)
    fail(cat(file.string(), " has several networks, at '", prefixes[0], "' and '", prefixes[1],
             "': save the one to import by itself"));
  ForeignTensors weights = below(all, prefixes[0]);
  if (weights.size() < all.size())
    notes.push_back(cat("the weights are those of '", prefixes[0], "'; ", all.size() - weights.size(),
                        " other tensors are left out"));
  return weights;
}

int64_t rows_of(const ForeignTensors& tensors, const std::string& name) {
  const ForeignTensor* tensor = find(tensors, name);
  return tensor && !tensor->shape.empty() ? tensor->shape[0] : 0;
}

/// Classes and outputs are in the file, too: flags that say otherwise are of another model.
void compare(const std::filesystem::path& file, const AdmFlags& flags, int64_t classes, int64_t outputs) {
  if ((classes > 0) != flags.class_cond)
    fail(cat(file.string(), " has ", classes ? "" : "no ", "label_emb.weight: class_cond must be ",
             classes ? "True" : "False"));
  const int64_t expected = (flags.learned_variance ? 2 : 1) * flags.network.channels;
  if (outputs != expected)
    fail(cat(file.string(), " has ", outputs, " rows in out.2.weight: with learn_sigma ",
             flags.learned_variance ? "True" : "False", " there are ", expected));
}

}  // namespace

ForeignModel adm_model(const std::filesystem::path& file, const AdmChoice& choice) {
  AdmFlags flags = adm_flags(choice.flags, choice.code);
  ForeignModel model;
  model.format = "adm", model.file = file, model.flags = choice.flags, model.notes = flags.notes;
  model.tensors = weights_in(file, model.notes);
  const int64_t classes = rows_of(model.tensors, "label_emb.weight"),
                outputs = rows_of(model.tensors, "out.2.weight");
  compare(file, flags, classes, outputs);
  flags.network.classes = int(std::min<int64_t>(classes, 1 << 20));
  if (flags.learned_variance)
    for (const char* name : {"out.2.weight", "out.2.bias"}) model.left_out[name] = flags.network.channels;
  TrainingOptions& o = model.options;
  o.preset = "imported";
  o.network = flags.network, o.diffusion = flags.diffusion, o.own_sampler = flags.sampler;
  o.learned_variance = flags.learned_variance;
  if (classes) o.drop_condition = 0;  // they are trained with every image's class
  model.part_of = [network = o.network, first = flags.split_first](const std::string& name) {
    return adm_part(name, network, first);
  };
  model.notes.push_back(cat("read as a model of ", name_of(flags.code)));
  if (choice.null_class) use_null_class(model, *choice.null_class);
  model.licence =
      "of the program: MIT (OpenAI; DDPM-IP and others have their own); of the weights: see where they came "
      "from";
  return model;
}

}  // namespace ito::model
