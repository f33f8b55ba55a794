#include "model/unet/config.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "engine/io/json_text.h"
#include "model/json_value.h"

namespace ito::model {

using nlohmann::json;

NetworkConfig NetworkConfig::without_patches() const {
  NetworkConfig inner = *this;
  inner.height /= patch, inner.width /= patch, inner.channels *= patch * patch, inner.patch = 1;
  return inner;
}

int NetworkConfig::groups_of(int channels) const {
  const int count = groups ? groups : std::clamp(channels / 4, 1, 32);
  if (channels % count)
    fail(cat(channels, " channels do not divide into ", count, " norm groups: choose fewer groups"));
  return count;
}

int NetworkConfig::heads_of(int channels) const {
  if (heads ? channels % heads : head_width && channels % head_width)
    fail(cat(channels, " channels do not divide into ",
             heads ? cat(heads, " attention heads") : cat("attention heads of ", head_width)));
  return heads ? heads : head_width ? channels / head_width : 1;
}

void check(const NetworkConfig& c) {
  const size_t levels = c.block_channels.size();
  if (levels < 1 || levels > 8) fail(cat("a network needs 1 to 8 levels, not ", levels));
  if (c.patch < 1 || c.patch > 16) fail(cat("a patch is 1 to 16 pixels wide, not ", c.patch));
  if (c.patch > 1 && c.kind != NetworkKind::unet)
    fail(cat("patches are for the network unet, not for ", name_of(c.kind)));
  if (c.augment && c.kind != NetworkKind::unet)
    fail_advising(cat("the labels of augmented images are for the network unet, not for ", name_of(c.kind)),
                  {"no {augment}"});
  if (c.attention.size() != levels)
    fail(cat("attention is given for ", c.attention.size(), " levels, the network has ", levels));
  if (c.height < 1 || c.width < 1 || c.height % c.stride() || c.width % c.stride())
    fail(cat("image size ", c.height, "x", c.width, " must be a multiple of ", c.stride(), " for ", levels,
             " levels", c.patch > 1 ? cat(" and patches of ", c.patch, " pixels") : ""));
  if (c.channels < 1 || c.layers_per_block < 1 || c.groups < 0 || c.condition < 0 || c.classes < 0 ||
      c.head_width < 0 || c.heads < 0)
    fail("channels and blocks must be positive, and no other number below 0");
  constexpr int kMostBlocks = 64, kMostChannels = 1 << 16, kMostConditions = 100000;
  if (c.layers_per_block > kMostBlocks || c.channels > kMostChannels || c.condition > kMostConditions ||
      c.classes > kMostConditions)
    fail(cat("a network has at most ", kMostBlocks, " blocks a level, ", kMostChannels,
             " channels and a condition of ", kMostConditions, " numbers"));
  if (c.condition && c.classes) fail("a network has attributes or classes, not both");
  if (c.heads && c.head_width) fail("either the number of heads is given, or their width");
  if (c.kind != NetworkKind::unet && (c.scale_shift || c.residual_resampling || c.classes))
    fail(cat("scale-shift norms, residual resampling and classes are for the network unet, not for ",
             name_of(c.kind)));
  if (!(c.dropout >= 0 && c.dropout < 1)) fail(cat("dropout must be in [0, 1), is ", c.dropout));
  for (int channels : c.block_channels) {
    if (channels < 1 || channels > kMostChannels) fail(cat("a level has ", channels, " channels"));
    if (c.kind == NetworkKind::unet) c.groups_of(channels), c.heads_of(channels);
  }
}

namespace {

/// A key of the file.
struct Key {
  std::string name;
  json otherwise;  // diffusers' value if the file has no such key
  /// Sets the option. Returns what the value must be ("must be ...") if it is something else, or throws that.
  std::function<std::string(const json&, NetworkConfig&)> read;
  std::function<json(const NetworkConfig&)> write;  // empty: not written, since it is diffusers' default
  bool newer = false;  // written only where it is not `otherwise`, so that older programs read the rest
};

/// The value as JSON, for an error: not all of a long one.
std::string shown(const json& value) { return io::json_text(value).substr(0, 160); }

std::string must_be(const std::vector<json>& values) {
  std::string list;
  for (const json& value : values) list += (list.empty() ? "" : " or ") + shown(value);
  return "must be " + list;
}

/// A float is written as the double that prints as it does: 1e-05, not 9.999999747378752e-06.
template <class T>
json written(T value) {
  if constexpr (!std::is_same_v<T, float>) return value;
  char text[32];
  return std::stod(std::string(text, std::to_chars(text, text + sizeof text, value).ptr));
}

template <class T>
Key number(const char* name, json otherwise, T NetworkConfig::*member,
           T least = std::numeric_limits<T>::lowest()) {
  return {name, std::move(otherwise),
          [=](const json& value, NetworkConfig& c) -> std::string {
            if (!value.is_number()) return is_whole<T> ? "must be a whole number" : "must be a number";
            c.*member = value_as<T>(value, name);
            return c.*member >= least ? "" : cat("must be at least ", least);
          },
          [=](const NetworkConfig& c) { return written(c.*member); }};
}

/// The table outlives the key; of several names of a value the first is the one written.
template <class Enum, size_t n>
Key choice(const char* name, json otherwise, Enum NetworkConfig::*member, const Named<Enum> (&table)[n]) {
  return {name, std::move(otherwise),
          [=, &table](const json& value, NetworkConfig& c) -> std::string {
            std::vector<json> names;
            for (const Named<Enum>& row : table) {
              if (value == row.name) return c.*member = row.value, "";
              names.push_back(row.name);
            }
            return must_be(names);
          },
          [=, &table](const NetworkConfig& c) { return json(name_of_value(c.*member, table)); }};
}

Key flag(const char* name, json otherwise, bool NetworkConfig::*member, const json& yes, const json& no) {
  return {name, std::move(otherwise),
          [=](const json& value, NetworkConfig& c) {
            c.*member = value == yes;
            return value == yes || value == no ? "" : must_be({yes, no});
          },
          [=](const NetworkConfig& c) { return c.*member ? yes : no; }};
}

/// A key that older programs do not know.
Key newer(Key key) { return key.newer = true, key; }

/// A key that is no option here: it must be one of allowed(configuration), the first of which is written; `why`
/// explains that.
Key fixed(const char* name, json otherwise, const char* why,
          const std::function<std::vector<json>(const NetworkConfig&)>& allowed, bool is_written = false) {
  Key key = {name,
             std::move(otherwise),
             [=](const json& value, NetworkConfig& c) -> std::string {
               const std::vector<json> values = allowed(c);
               const bool known = std::find(values.begin(), values.end(), value) != values.end();
               return known ? "" : cat(must_be(values), " (", why, ")");
             },
             {}};
  if (is_written) key.write = [=](const NetworkConfig& c) { return allowed(c).front(); };
  return key;
}
Key only(const char* name, const json& value, const char* why, bool is_written = false) {
  return fixed(
      name, value, why, [=](const NetworkConfig&) { return std::vector<json>(1, value); }, is_written);
}

std::string read_patch(const json& value, NetworkConfig& c) {
  if (!value.is_number()) return "must be a whole number";
  c.patch = value_as<int>(value, "ito_patch");
  return c.patch >= 1 && c.patch <= 16 ? "" : "must be from 1 to 16";
}

// An image of more pixels a side fits nowhere.
constexpr int kLargestSide = 1 << 20;

// What diffusers reads is the network between the patches.
std::string read_sample_size(const json& value, NetworkConfig& c) {
  const bool two = value.is_array() && value.size() == 2;
  if (!two && !value.is_number()) return "must be a whole number, or a list of height and width";
  c.height = value_as<int>(two ? value[0] : value, "sample_size");
  c.width = value_as<int>(two ? value[1] : value, "sample_size");
  if (c.height > kLargestSide || c.width > kLargestSide) return cat("must be at most ", kLargestSide);
  c.height *= c.patch, c.width *= c.patch;
  return "";
}
json write_sample_size(const NetworkConfig& config) {
  const NetworkConfig c = config.without_patches();
  return c.height == c.width ? json(c.height) : json({c.height, c.width});
}
std::string read_channels(const json& value, NetworkConfig& c) {
  if (!value.is_number()) return "must be a whole number";
  const int channels = value_as<int>(value, "in_channels"), each = c.patch * c.patch;
  c.channels = channels / each;
  if (channels < 1) return "must be at least 1";
  return channels % each == 0 ? "" : cat("must be a multiple of ", each);
}

std::string read_block_channels(const json& value, NetworkConfig& c) {
  if (!value.is_array() || value.empty()) return "must be a list of whole numbers, one for each level";
  c.block_channels.clear();
  for (const json& channels : value)
    c.block_channels.push_back(value_as<int>(channels, "block_out_channels"));
  return "";
}

/// diffusers' name of a level's blocks. Where a level neither halves nor doubles the image, the last on the way down
/// and on the way up, its two names without attention mean the same.
const char* block_type(const NetworkConfig& c, int level, bool down) {
  if (c.attention[size_t(level)]) return down ? "AttnDownBlock2D" : "AttnUpBlock2D";
  if (c.residual_resampling) return down ? "ResnetDownsampleBlock2D" : "ResnetUpsampleBlock2D";
  return down ? "DownBlock2D" : "UpBlock2D";
}

json block_types(const NetworkConfig& c, bool down) {
  json types = json::array();
  for (int i = 0; i < c.levels(); ++i) types.push_back(block_type(c, down ? i : c.levels() - 1 - i, down));
  return types;
}

/// Whether a level with attention changes the image's size.
bool attention_resamples(const NetworkConfig& c, bool down) {
  const auto first = c.attention.begin() + (down ? 0 : 1), last = c.attention.end() - (down ? 1 : 0);
  return std::find(first, last, true) != last;
}

// Blocks with attention resample as downsample_type says, which is read before, the others as their names say.
std::string read_down_blocks(const json& value, NetworkConfig& c) {
  c.attention.clear();
  std::vector<bool> residual;  // of the levels without attention, except the last, which keeps the size
  for (const json& type : value.is_array() ? value : json::array()) {
    const bool attention = type == "AttnDownBlock2D", resnet = type == "ResnetDownsampleBlock2D";
    if (!attention && !resnet && type != "DownBlock2D") break;
    c.attention.push_back(attention);
    if (!attention && c.attention.size() < c.block_channels.size()) residual.push_back(resnet);
  }
  if (!value.is_array() || c.attention.size() != value.size() || value.size() != c.block_channels.size())
    return "must be a list of DownBlock2D, AttnDownBlock2D or ResnetDownsampleBlock2D, one for each of "
           "block_out_channels";
  if (!attention_resamples(c, true) && !residual.empty()) c.residual_resampling = residual.front();
  for (const bool resnet : residual)
    if (resnet != c.residual_resampling)
      return "must have either DownBlock2D or ResnetDownsampleBlock2D, and the latter where downsample_type "
             "is "
             "\"resnet\"";
  return "";
}

std::string read_up_blocks(const json& value, NetworkConfig& c) {
  json wanted = block_types(c, false), given = value;
  const auto is_plain = [](const json& type) {
    return type == "UpBlock2D" || type == "ResnetUpsampleBlock2D";
  };
  if (given.is_array() && given.size() == wanted.size() && is_plain(given.back()) && is_plain(wanted.back()))
    given.back() = wanted.back();
  return given == wanted ? "" : cat(must_be({wanted}), " (the mirror of down_block_types)");
}

std::string read_downsample_type(const json& value, NetworkConfig& c) {
  c.residual_resampling = value == "resnet";
  return value == "conv" || value == "resnet" ? "" : must_be({"conv", "resnet"});
}

std::string read_upsample_type(const json& value, NetworkConfig& c) {
  if (value != "conv" && value != "resnet") return must_be({"conv", "resnet"});
  if (!attention_resamples(c, false) || (value == "resnet") == c.residual_resampling) return "";
  return cat(must_be({c.residual_resampling ? "resnet" : "conv"}), " (as the way down)");
}

json write_resampling(const NetworkConfig& c) { return c.residual_resampling ? "resnet" : "conv"; }

// null: by the norm's own channels.
std::string read_groups(const json& value, NetworkConfig& c) {
  c.groups = value.is_null() ? 0 : value_as<int>(value, "norm_num_groups");
  return value.is_null() || c.groups >= 1 ? "" : "must be null or at least 1";
}

std::string read_classes(const json& value, NetworkConfig& c) {
  c.classes = value.is_null() ? 0 : value_as<int>(value, "num_class_embeds");
  return value.is_null() || c.classes >= 1 ? "" : "must be null or at least 1";
}

std::string read_head_width(const json& value, NetworkConfig& c) {
  c.head_width = value.is_null() ? 0 : value_as<int>(value, "attention_head_dim");
  return value.is_null() || c.head_width > 0 ? "" : "must be null (one head) or at least 1";
}

/// Only a learned time embedding, which is refused, would use it.
std::string read_timesteps(const json& value, NetworkConfig&) {
  return value.is_null() || fits<uint32_t>(value) ? "" : "must be null or a whole number";
}

/// diffusers' names.
constexpr Named<EmbeddingKind> kEmbeddingTypes[] = {{"fourier", EmbeddingKind::fourier},
                                                    {"positional", EmbeddingKind::sinusoidal}};

/// The whole file, in the order in which it is read: first what describes the network, then what follows from that,
/// and what diffusers has a choice of and Ito has not.
std::vector<Key> make_keys() {
  using C = NetworkConfig;
  using Values = std::vector<json>;
  constexpr bool kWritten = true;
  return {
      choice("ito_network", "unet", &C::kind, Names<NetworkKind>::kTable),
      {"ito_patch", 1, read_patch, [](const C& c) { return json(c.patch); }, true},
      {"sample_size", nullptr, read_sample_size, write_sample_size},
      {"in_channels", 3, read_channels, [](const C& c) { return json(c.without_patches().channels); }},
      {"block_out_channels", json::array({224, 448, 672, 896}), read_block_channels,
       [](const C& c) { return json(c.block_channels); }},
      newer({"downsample_type", "conv", read_downsample_type, write_resampling}),
      {"down_block_types",
       json::array({"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"}),
       read_down_blocks, [](const C& c) { return block_types(c, true); }},
      number("layers_per_block", 2, &C::layers_per_block, 1),
      {"norm_num_groups", 32, read_groups, [](const C& c) { return c.groups ? json(c.groups) : json(); }},
      number("norm_eps", 1e-5, &C::norm_eps, 0.0f),
      {"attention_head_dim", 8, read_head_width,
       [](const C& c) { return c.head_width ? json(c.head_width) : json(); }},
      choice("time_embedding_type", "positional", &C::embedding, kEmbeddingTypes),
      flag("flip_sin_to_cos", true, &C::flip_sin_to_cos, true, false),
      number("freq_shift", 0, &C::freq_shift),
      flag("downsample_padding", 1, &C::pad_both_sides, 1, 0),
      choice("act_fn", "silu", &C::activation, Names<Activation>::kTable),
      number("dropout", 0, &C::dropout, 0.0f),
      newer({"upsample_type", "conv", read_upsample_type, write_resampling}),
      newer(flag("resnet_time_scale_shift", "default", &C::scale_shift, "scale_shift", "default")),
      newer({"num_class_embeds", nullptr, read_classes,
             [](const C& c) { return c.classes ? json(c.classes) : json(); }}),
      newer(number("ito_heads", 0, &C::heads, 0)),
      number("ito_fourier_scale", 16, &C::fourier_scale),
      choice("ito_skips", "concatenate", &C::skips, Names<SkipKind>::kTable),
      number("ito_condition", 0, &C::condition, 0),
      newer(flag("ito_augment", false, &C::augment, true, false)),

      only("_class_name", "UNet2DModel", "another class is another network", kWritten),
      fixed(
          "out_channels", 3, "as many as in_channels",
          [](const C& c) { return Values(1, c.without_patches().channels); }, kWritten),
      {"up_block_types", json::array({"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"}),
       read_up_blocks, [](const C& c) { return block_types(c, false); }},
      only("mid_block_type", "UNetMidBlock2D", "there is always a middle"),
      only("mid_block_scale_factor", 1, "the middle's sums are not divided"),
      only("add_attention", true, "the middle always has attention", kWritten),
      fixed("time_embedding_dim", nullptr, "4 times the first of block_out_channels",
            [](const C& c) {
              return Values{nullptr, 4 * int64_t(c.block_channels.front())};
            }),
      newer(fixed(
          "attn_norm_num_groups", nullptr, "the middle's attention has norm_num_groups",
          [](const C& c) {
            const json groups = c.groups ? json(c.groups) : json();
            return c.scale_shift ? Values{groups} : Values{nullptr, groups};
          },
          kWritten)),
      only("center_input_sample", false, "the input is taken as it is"),
      only("class_embed_type", nullptr, "classes have a table, num_class_embeds"),
      {"num_train_timesteps", nullptr, read_timesteps, {}},
  };
}

const std::vector<Key>& keys() {
  static const std::vector<Key> all = make_keys();
  return all;
}

void refuse_unknown_keys(const json& j) {
  std::vector<std::string> known;
  for (const Key& key : keys()) known.push_back(key.name);
  for (const auto& [name, value] : j.items()) {
    if (name.rfind('_', 0) == 0 || std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string start = name.substr(0, 60);
    fail(cat("unknown key ", start, " (its value is ", shown(value), "); did you mean ",
             nearest_name(start, known), "?"));
  }
}

NetworkConfig parse(const json& j) {
  if (!j.is_object()) fail(cat("must be an object, is ", shown(j)));
  refuse_unknown_keys(j);
  NetworkConfig c;
  for (const Key& key : keys()) {
    const auto there = j.find(key.name);
    const json& value = there == j.end() ? key.otherwise : *there;
    const std::string wrong = key.read(value, c);
    if (!wrong.empty())
      fail(cat(key.name, " ", wrong, ", is ", shown(value),
               there == j.end() ? ", the default, since the file has no such key" : ""));
  }
  if (c.activation == Activation::relu && !j.contains("ito_network"))
    fail(
        "act_fn must be \"silu\", is \"relu\": diffusers' UNet2DModel keeps SiLU in its time embedding and "
        "before "
        "its last convolution, where this network would have ReLU");
  check(c);
  return c;
}

}  // namespace

std::string to_json(const NetworkConfig& config) {
  json j;
  for (const Key& key : keys()) {
    if (!key.write) continue;
    const json value = key.write(config);
    if (!key.newer || value != key.otherwise) j[key.name] = value;
  }
  return io::json_text(j, 2) + "\n";
}

NetworkConfig network_config_from_json(const std::string& text, const std::string& file) {
  try {
    return parse(parse_shallow(text, "is nested too deeply"));
  } catch (const json::exception& e) {
    fail(cat(file, " is not as expected: ", e.what()));
  } catch (const Error& e) {
    fail(cat(file, ": ", e.what()));
  }
}

std::optional<ConfigDifference> first_difference(const NetworkConfig& first, const NetworkConfig& second) {
  for (const Key& key : keys()) {
    if (!key.write) continue;
    const json a = key.write(first), b = key.write(second);
    if (a != b) return ConfigDifference{key.name, io::json_text(a), io::json_text(b)};
  }
  return {};
}

}  // namespace ito::model
