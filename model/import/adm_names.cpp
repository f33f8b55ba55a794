#include "model/import/adm_names.h"

#include <charconv>

namespace ito::model {

namespace {

/// The numbers at the places of the '#' in `pattern`, if `name` begins with it and a dot; what follows is left in rest.
bool begins_as(const std::string& name, std::string_view pattern, std::vector<int>& numbers,
               std::string& rest) {
  numbers.clear();
  size_t at = 0;
  for (const char c : pattern) {
    if (c != '#') {
      if (at == name.size() || name[at++] != c) return false;
      continue;
    }
    int number = 0;
    const auto [end, error] = std::from_chars(name.data() + at, name.data() + name.size(), number);
    if (error != std::errc()) return false;
    numbers.push_back(number), at = size_t(end - name.data());
  }
  if (at == name.size() || name[at] != '.') return false;
  rest = name.substr(at);
  return true;
}

/// Parts of a residual block, of an attention, and of what is outside of blocks: ours and theirs.
constexpr std::pair<const char*, const char*> kBlock[] = {{".norm1.", ".in_layers.0."},
                                                          {".conv1.", ".in_layers.2."},
                                                          {".time_emb_proj.", ".emb_layers.1."},
                                                          {".norm2.", ".out_layers.0."},
                                                          {".conv2.", ".out_layers.3."},
                                                          {".conv_shortcut.", ".skip_connection."},
                                                          {".group_norm.", ".norm."},
                                                          {".to_out.0.", ".proj_out."},
                                                          {".to_q.", ".qkv."},
                                                          {".to_k.", ".qkv."},
                                                          {".to_v.", ".qkv."}};
constexpr std::pair<const char*, const char*> kOutside[] = {{"time_embedding.linear_1", "time_embed.0"},
                                                            {"time_embedding.linear_2", "time_embed.2"},
                                                            {"class_embedding", "label_emb"},
                                                            {"conv_in", "input_blocks.0.0"},
                                                            {"mid_block.resnets.0", "middle_block.0"},
                                                            {"mid_block.attentions.0", "middle_block.1"},
                                                            {"mid_block.resnets.1", "middle_block.2"},
                                                            {"conv_norm_out", "out.0"},
                                                            {"conv_out", "out.2"}};

std::string place_of(const std::string& name, const NetworkConfig& c, std::string& rest) {
  std::vector<int> at;
  const int blocks = c.layers_per_block;
  for (const auto& [ours, theirs] : kOutside)
    if (begins_as(name, ours, at, rest)) return theirs;
  // Down: each level has its blocks, then what halves the image. Up: a block more, and what doubles it in the last.
  if (begins_as(name, "down_blocks.#.resnets.#", at, rest))
    return cat("input_blocks.", 1 + at[0] * (blocks + 1) + at[1], ".0");
  if (begins_as(name, "down_blocks.#.attentions.#", at, rest))
    return cat("input_blocks.", 1 + at[0] * (blocks + 1) + at[1], ".1");
  if (begins_as(name, "down_blocks.#.downsamplers.0.conv", at, rest))
    return cat("input_blocks.", (at[0] + 1) * (blocks + 1), ".0.op");
  if (begins_as(name, "down_blocks.#.downsamplers.0", at, rest))
    return cat("input_blocks.", (at[0] + 1) * (blocks + 1), ".0");
  if (begins_as(name, "up_blocks.#.resnets.#", at, rest))
    return cat("output_blocks.", at[0] * (blocks + 1) + at[1], ".0");
  if (begins_as(name, "up_blocks.#.attentions.#", at, rest))
    return cat("output_blocks.", at[0] * (blocks + 1) + at[1], ".1");
  const bool plain = begins_as(name, "up_blocks.#.upsamplers.0.conv", at, rest);
  if (plain || begins_as(name, "up_blocks.#.upsamplers.0", at, rest)) {
    const bool attention = c.attention[size_t(c.levels() - 1 - at[0])];
    return cat("output_blocks.", at[0] * (blocks + 1) + blocks, attention ? ".2" : ".1",
               plain ? ".conv" : "");
  }
  fail(cat("a network of ADM's has no ", name));
}

/// The channels of the attention that a parameter is of.
int attention_channels(const std::string& name, const NetworkConfig& c) {
  std::vector<int> at;
  std::string rest;
  if (begins_as(name, "down_blocks.#.attentions.#", at, rest)) return c.block_channels[size_t(at[0])];
  if (begins_as(name, "up_blocks.#.attentions.#", at, rest))
    return c.block_channels[size_t(c.levels() - 1 - at[0])];
  return c.block_channels.back();
}

}  // namespace

ForeignPart adm_part(const std::string& name, const NetworkConfig& network, bool split_first) {
  ForeignPart part;
  std::string rest;
  part.tensor = place_of(name, network, rest);
  int which = -1;  // of q, k, v
  for (const char* own : {".to_q.", ".to_k.", ".to_v."}) {
    ++which;
    if (rest.rfind(own, 0) != 0) continue;
    const int channels = attention_channels(name, network), heads = network.heads_of(channels),
              w = channels / heads;
    for (int h = 0; h < heads; ++h)
      for (int c = 0; c < w; ++c)
        part.rows.push_back(split_first ? int64_t(which) * channels + h * w + c
                                        : int64_t(h) * 3 * w + which * w + c);
  }
  for (const auto& [ours, theirs] : kBlock)
    if (rest.rfind(ours, 0) == 0) {
      rest.replace(0, std::string_view(ours).size(), theirs);
      break;
    }
  part.tensor += rest;
  if (part.tensor.rfind("out.2.", 0) == 0)  // the rest of them is a learned variance
    for (int64_t row = 0; row < network.channels; ++row) part.rows.push_back(row);
  return part;
}

}  // namespace ito::model
