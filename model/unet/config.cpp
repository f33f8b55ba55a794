#include "model/unet/config.h"

#include <sstream>

#include "kernels/base/error.h"
#include "model/json_value.h"

namespace ito::model {

using nlohmann::json;

void check(const NetworkConfig& c) {
  const size_t levels = c.block_channels.size();
  if (levels < 1 || levels > 8) fail(cat("a network needs 1 to 8 levels, not ", levels));
  if (c.attention.size() != levels)
    fail(cat("attention is given for ", c.attention.size(), " levels, the network has ", levels));
  if (c.height < 1 || c.width < 1 || c.height % c.stride() || c.width % c.stride())
    fail(cat("image size ", c.height, "x", c.width, " must be a multiple of ", c.stride(), " for ", levels,
             " levels"));
  if (c.channels < 1 || c.layers_per_block < 1 || c.groups < 1 || c.condition < 0 || c.head_width < 0)
    fail("channels, blocks and groups must be positive");
  if (!(c.dropout >= 0 && c.dropout < 1)) fail(cat("dropout must be in [0, 1), is ", c.dropout));
  for (int channels : c.block_channels) {
    if (channels < 1) fail(cat("a level has ", channels, " channels"));
    if (c.kind == NetworkKind::unet && channels % c.groups)
      fail(cat(channels, " channels do not divide into ", c.groups, " norm groups: choose fewer groups"));
    if (c.kind == NetworkKind::unet && c.head_width && channels % c.head_width)
      fail(cat(channels, " channels do not divide into attention heads of ", c.head_width));
  }
}

namespace {

const char* name_of(NetworkKind kind) {
  return kind == NetworkKind::unet ? "unet" : kind == NetworkKind::document ? "document" : "tutorial";
}

json block_types(const NetworkConfig& c, bool down) {
  json types = json::array();
  for (int i = 0; i < c.levels(); ++i) {
    const int level = down ? i : c.levels() - 1 - i;
    types.push_back(std::string(c.attention[size_t(level)] ? "Attn" : "") +
                    (down ? "DownBlock2D" : "UpBlock2D"));
  }
  return types;
}

/// The double that prints as the float does: 1e-05, not 9.999999747378752e-06.
double shortest(float value) {
  std::ostringstream text;
  text << value;
  return std::stod(text.str());
}

template <class T>
T get(const json& j, const char* key, T otherwise) {
  take_if_there(j, key, otherwise);
  return otherwise;
}

NetworkConfig parse(const json& j) {
  NetworkConfig c;
  const std::string kind = get<std::string>(j, "ito_network", "unet");
  c.kind = kind == "document"   ? NetworkKind::document
           : kind == "tutorial" ? NetworkKind::tutorial
                                : NetworkKind::unet;
  if (kind != name_of(c.kind)) fail(cat("unknown network '", kind, "'"));
  const json& size = j.at("sample_size");
  c.height = value_as<int>(size.is_array() ? size.at(0) : size, "sample_size");
  c.width = value_as<int>(size.is_array() ? size.at(1) : size, "sample_size");
  c.channels = get(j, "in_channels", 3);
  take(j, "block_out_channels", c.block_channels);
  c.attention.clear();
  for (const json& type : j.at("down_block_types")) {
    const std::string name = type.get<std::string>();
    if (name != "DownBlock2D" && name != "AttnDownBlock2D")
      fail(cat("down block type '", name, "' is not one of this network's: DownBlock2D, AttnDownBlock2D"));
    c.attention.push_back(name == "AttnDownBlock2D");
  }
  c.layers_per_block = get(j, "layers_per_block", 2);
  c.groups = get(j, "norm_num_groups", 32);
  c.norm_eps = get(j, "norm_eps", 1e-5f);
  c.head_width = j.contains("attention_head_dim") ? get(j, "attention_head_dim", 0) : 8;
  c.embedding = get<std::string>(j, "time_embedding_type", "positional") == "fourier"
                    ? EmbeddingKind::fourier
                    : EmbeddingKind::sinusoidal;
  c.flip_sin_to_cos = get(j, "flip_sin_to_cos", true);
  c.freq_shift = get(j, "freq_shift", 0.0f);
  c.pad_both_sides = get(j, "downsample_padding", 1) == 1;
  c.activation = get<std::string>(j, "act_fn", "silu") == "relu" ? Activation::relu : Activation::silu;
  c.dropout = get(j, "dropout", 0.0f);
  c.fourier_scale = get(j, "ito_fourier_scale", 16.0f);
  c.skips = get<std::string>(j, "ito_skips", "concatenate") == "add" ? SkipKind::add : SkipKind::concatenate;
  c.condition = get(j, "ito_condition", 0);
  check(c);
  return c;
}

}  // namespace

std::string to_json(const NetworkConfig& c) {
  json j = {
      {"_class_name", "UNet2DModel"},
      {"in_channels", c.channels},
      {"out_channels", c.channels},
      {"block_out_channels", c.block_channels},
      {"down_block_types", block_types(c, true)},
      {"up_block_types", block_types(c, false)},
      {"layers_per_block", c.layers_per_block},
      {"norm_num_groups", c.groups},
      {"norm_eps", shortest(c.norm_eps)},
      {"attention_head_dim", c.head_width ? json(c.head_width) : json(nullptr)},
      {"time_embedding_type", c.embedding == EmbeddingKind::fourier ? "fourier" : "positional"},
      {"flip_sin_to_cos", c.flip_sin_to_cos},
      {"freq_shift", c.freq_shift},
      {"downsample_padding", c.pad_both_sides ? 1 : 0},
      {"act_fn", c.activation == Activation::relu ? "relu" : "silu"},
      {"dropout", shortest(c.dropout)},
      {"add_attention", true},
      {"ito_network", name_of(c.kind)},
      {"ito_fourier_scale", c.fourier_scale},
      {"ito_skips", c.skips == SkipKind::add ? "add" : "concatenate"},
      {"ito_condition", c.condition},
  };
  j["sample_size"] = c.height == c.width ? json(c.height) : json({c.height, c.width});
  return j.dump(2) + "\n";
}

NetworkConfig network_config_from_json(const std::string& text) {
  try {
    return parse(json::parse(text));
  } catch (const json::exception& e) {
    fail(cat("the network's config.json is not as expected: ", e.what()));
  }
}

}  // namespace ito::model
