#include <algorithm>
#include <charconv>
#include <map>

#include "model/import/foreign_model.h"

namespace ito::model {

namespace {

/// Diffusers' names, which are ours, and theirs. {i} and {j} are numbers; {u} is a level counted from the other end.
constexpr std::pair<const char*, const char*> kNames[] = {
    {"time_embedding.linear_1", "temb.dense.0"},
    {"time_embedding.linear_2", "temb.dense.1"},
    {"conv_norm_out", "norm_out"},
    {"down_blocks.{i}.resnets.{j}", "down.{i}.block.{j}"},
    {"down_blocks.{i}.attentions.{j}", "down.{i}.attn.{j}"},
    {"down_blocks.{i}.downsamplers.0.conv", "down.{i}.downsample.conv"},
    {"mid_block.resnets.0", "mid.block_1"},
    {"mid_block.resnets.1", "mid.block_2"},
    {"mid_block.attentions.0", "mid.attn_1"},
    {"up_blocks.{u}.resnets.{j}", "up.{u}.block.{j}"},
    {"up_blocks.{u}.attentions.{j}", "up.{u}.attn.{j}"},
    {"up_blocks.{u}.upsamplers.0.conv", "up.{u}.upsample.conv"},
};
/// The same of parts within a block.
constexpr std::pair<const char*, const char*> kParts[] = {{".time_emb_proj.", ".temb_proj."},
                                                          {".conv_shortcut.", ".nin_shortcut."},
                                                          {".group_norm.", ".norm."},
                                                          {".to_q.", ".q."},
                                                          {".to_k.", ".k."},
                                                          {".to_v.", ".v."},
                                                          {".to_out.0.", ".proj_out."}};

/// Replaces `from` at the front of the text; the numbers in place of {i}, {j}, {u} go over. False: it is not there.
bool replace_front(std::string& text, std::string_view from, std::string_view to, int levels) {
  std::map<char, int> numbers;
  size_t at = 0;
  for (size_t k = 0; k < from.size(); ++k) {
    if (from[k] != '{') {
      if (at == text.size() || text[at++] != from[k]) return false;
      continue;
    }
    int number = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), number);
    if (error != std::errc()) return false;
    numbers[from[k + 1]] = from[k + 1] == 'u' ? levels - 1 - number : number;
    at = size_t(end - text.data()), k += 2;
  }
  if (at == text.size() || text[at] != '.') return false;
  std::string result;
  for (size_t k = 0; k < to.size(); ++k)
    if (to[k] == '{')
      result += std::to_string(numbers.at(to[k + 1])), k += 2;
    else
      result += to[k];
  text.replace(0, at, result);
  return true;
}

std::string their_name(std::string name, int levels) {
  for (const auto& [ours, theirs] : kNames)
    if (replace_front(name, ours, theirs, levels)) break;
  for (const auto& [ours, theirs] : kParts)
    if (const size_t at = name.find(ours); at != std::string::npos)
      name.replace(at, std::string_view(ours).size(), theirs);
  return name;
}

bool all_begin_with(const ForeignTensors& tensors, const std::string& prefix) {
  return std::all_of(tensors.begin(), tensors.end(),
                     [&](const ForeignTensor& tensor) { return tensor.name.rfind(prefix, 0) == 0; });
}

constexpr int kMostLevels = 8;
constexpr int64_t kMostChannels = 1 << 20;  // more are refused as a shape

/// The weights of the whole, and what they are.
ForeignTensors choose_weights(const ForeignTensors& all, bool raw, std::vector<std::string>& notes) {
  // [model, optimizer, epoch, step, EMA]; in a file of weights alone no name has a "/".
  ForeignTensors weights = all;
  const ForeignTensors last = below(all, "0/"), average = below(all, "4/");
  if (!last.empty()) {
    const bool averaged = !raw && !average.empty();
    weights = averaged ? average : last;
    notes.push_back(cat(averaged ? "the weights are the averaged ones (EMA), the fifth of the file's list"
                                 : "the weights are those of the last step, the first of the file's list",
                        "; ", all.size() - weights.size(),
                        " tensors of other weights and of the optimizer are left out"));
  }
  constexpr const char* kParallel = "module.";  // of a model that was trained on several GPUs
  if (all_begin_with(weights, kParallel)) weights = below(weights, kParallel);
  for (ForeignTensor& tensor : weights)  // as files of 2020 have it
    if (const size_t at = tensor.name.find(".downsample.op."); at != std::string::npos)
      tensor.name.replace(at, 15, ".downsample.conv.");
  return weights;
}

/// The network that the names and shapes describe.
NetworkConfig network_of(const ForeignTensors& weights, const std::string& file, std::optional<int> size) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ForeignTensor& tensor : weights) shapes[tensor.name] = tensor.shape;
  const auto channels_of = [&](const std::string& name) {
    const auto found = shapes.find(name);
    return found == shapes.end() || found->second.size() != 4
               ? 0
               : int(std::min(found->second[0], kMostChannels));
  };
  const auto block = [](int level, int i) { return cat("down.", level, ".block.", i, ".conv1.weight"); };
  NetworkConfig c;
  c.block_channels.clear(), c.attention.clear();
  for (int level = 0; channels_of(block(level, 0)) > 0; ++level) {
    c.block_channels.push_back(channels_of(block(level, 0)));
    c.attention.push_back(channels_of(cat("down.", level, ".attn.0.q.weight")) > 0);
  }
  const std::string format = recognised_format(weights);
  if (format == "adm")
    fail(cat(file, " is of improved- or guided-diffusion: import it as adm, with its flags"));
  if (format == "diffusers")
    fail(cat(file, " is of diffusers: import the folder that it is in, as diffusers"));
  if (c.block_channels.empty() || !channels_of("conv_in.weight"))
    fail(cat(file, " is no checkpoint of ddim's or pytorch_diffusion's: it has no conv_in.weight or no ",
             block(0, 0)));
  for (c.layers_per_block = 0; channels_of(block(0, c.layers_per_block)) > 0;) ++c.layers_per_block;
  c.channels = channels_of("conv_out.weight");
  c.norm_eps = 1e-6f, c.pad_both_sides = false;
  c.embedding = EmbeddingKind::sinusoidal, c.flip_sin_to_cos = false, c.freq_shift = 1;
  if (c.levels() > kMostLevels)
    fail(cat(file, " has ", c.levels(), " levels, at most ", kMostLevels, " are read"));
  const auto seen = std::find(c.attention.begin(), c.attention.end(), true);
  if (!size && seen == c.attention.end())
    fail_advising(cat(file, ": nothing in it tells the size of its images"), {"{size} 64, for example"});
  c.height = c.width = size ? *size : 16 << (seen - c.attention.begin());
  return c;
}

}  // namespace

ForeignModel ddim_model(const std::filesystem::path& file, const DdimChoice& choice) {
  ForeignModel model;
  model.format = "ddim", model.file = file;
  model.tensors = choose_weights(torch_tensors(file, io::TorchContent::tree), choice.raw, model.notes);
  TrainingOptions& o = model.options;
  o.preset = "imported";
  o.network = network_of(model.tensors, file.string(), choice.size);
  o.diffusion = default_diffusion(NetworkKind::unet, Prediction::noise);
  o.diffusion.sde.kind = SdeKind::table;
  o.diffusion.preconditioning.condition = NoiseCondition::index;
  const std::vector<int> celeba = {1, 2, 2, 2, 4};
  const auto is_celeba = [&](const NetworkConfig& c) {
    bool same = c.levels() == 5 && c.width == 64;
    for (size_t i = 0; same && i < celeba.size(); ++i)
      same = c.block_channels[i] == celeba[i] * c.block_channels[0];
    return same;
  };
  if (is_celeba(o.network)) {
    o.crop = "ddim128";
    model.notes.emplace_back(
        "the network is that of ddim's CelebA configuration: its crop of the pictures, ddim128, is noted");
  }
  model.licence =
      "of the programs: MIT (ermongroup/ddim, pesser/pytorch_diffusion); of the weights: see where they came "
      "from";
  o.own_sampler = {.sampler = SamplerKind::ddim, .steps = 100, .grid = Grid::leading, .clip = "none"};
  model.part_of = [levels = o.network.levels()](const std::string& name) {
    return ForeignPart{their_name(name, levels)};
  };
  model.notes.push_back(cat("the images are ", o.network.width, " pixels wide, ",
                            choice.size ? "as asked for" : "since its attention is at 16"));
  return model;
}

}  // namespace ito::model
