#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/base/names.h"

namespace ito::model {

using kernels::Activation;

/// Which network. unet: diffusers' UNet2DModel; document: the specification's (docs/model.md); tutorial: the score-SDE
/// tutorial's.
enum class NetworkKind : uint8_t { unet, document, tutorial };
/// fourier: [sin, cos](2 pi W c), W ~ N(0, scale^2) fixed; sinusoidal: the transformer's.
enum class EmbeddingKind : uint8_t { fourier, sinusoidal };
/// How the skip connections are joined: side by side, or (after a 1x1 where channels differ)
/// added.
enum class SkipKind : uint8_t { concatenate, add };

}  // namespace ito::model

namespace ito {

template <>
struct Names<model::NetworkKind> {
  static constexpr std::string_view kKind = "network";
  static constexpr Named<model::NetworkKind> kTable[] = {{"unet", model::NetworkKind::unet},
                                                         {"document", model::NetworkKind::document},
                                                         {"tutorial", model::NetworkKind::tutorial}};
};

/// As flags have them; diffusers' file says "positional" for sinusoidal.
template <>
struct Names<model::EmbeddingKind> {
  static constexpr std::string_view kKind = "embedding";
  static constexpr Named<model::EmbeddingKind> kTable[] = {{"fourier", model::EmbeddingKind::fourier},
                                                           {"sinusoidal", model::EmbeddingKind::sinusoidal}};
};

template <>
struct Names<model::SkipKind> {
  static constexpr std::string_view kKind = "skips";
  static constexpr Named<model::SkipKind> kTable[] = {{"concatenate", model::SkipKind::concatenate},
                                                      {"add", model::SkipKind::add}};
};

/// Those that a network can be made with. SiLU has two names, as in diffusers; the first is the one written.
template <>
struct Names<model::Activation> {
  static constexpr std::string_view kKind = "activation";
  static constexpr Named<model::Activation> kTable[] = {{"silu", model::Activation::silu},
                                                        {"swish", model::Activation::silu},
                                                        {"relu", model::Activation::relu}};
};

}  // namespace ito

namespace ito::model {

/// Numbers by which a network is given what was done to a training image (model/training/augmentation.h).
inline constexpr int kAugmentationLabels = 9;

/// Everything that determines a network's parameters and arithmetic; stored with every checkpoint.
struct NetworkConfig {
  NetworkKind kind = NetworkKind::unet;
  int height = 64, width = 64, channels = 3;
  std::vector<int> block_channels = {128, 256, 256, 256};  // of each level, finest first
  std::vector<bool> attention = {false, false, true, false};
  int layers_per_block = 2;
  int groups = 32;  // of each group norm; 0: a quarter of its channels, at most 32
  float norm_eps = 1e-5f;
  int head_width = 0;  // channels of an attention head; 0: one head, or `heads`
  int heads = 0;       // of every attention, however wide; 0: by head_width
  EmbeddingKind embedding = EmbeddingKind::fourier;
  float fourier_scale = 16;
  bool flip_sin_to_cos = true;  // sinusoidal: cosines first
  float freq_shift = 0;         // sinusoidal
  bool pad_both_sides = true;  // stride-2 convolutions: padding 1 all round, or (false) right and bottom only
  Activation activation = Activation::silu;
  SkipKind skips = SkipKind::concatenate;
  bool scale_shift =
      false;  // the time embedding scales and shifts the second norm of a block; false: is added before
  bool residual_resampling = false;  // a residual block halves or doubles the image; false: a convolution
  float dropout = 0;
  int condition = 0;  // K numbers of an optional condition vector; 0: none
  int classes =
      0;  // K classes, of which an image has one: a condition that is 1 there and 0 elsewhere; 0: none
  bool augment = false;  // it is given kAugmentationLabels numbers of what was done to a training image
  int patch = 1;  // p: the network sees p x p pixels as one with p^2 times the channels (arXiv:2207.04316)

  int levels() const { return int(block_channels.size()); }
  /// Numbers of the condition that the network is given, of either kind.
  int condition_width() const { return condition + classes; }
  /// Of a norm of so many channels. Error: they do not divide into them.
  int groups_of(int channels) const;
  /// Of an attention of so many channels. Error: they do not divide into them.
  int heads_of(int channels) const;
  /// Heights and widths must be multiples of this.
  int stride() const { return patch << (levels() - 1); }
  /// The network between the patches: of smaller images with more channels, and without any.
  NetworkConfig without_patches() const;
};

/// Fails, saying what to change, unless the configuration makes a network.
void check(const NetworkConfig& config);

/// JSON as diffusers writes `unet/config.json`, with our own keys "ito_*" added.
std::string to_json(const NetworkConfig& config);

/// Reads that, and the config.json of diffusers' own UNet2DModel. Every argument of UNet2DModel's constructor is
/// taken up, or must have the one value that describes this network; one that is missing has diffusers' default.
/// Keys that begin with "_" are diffusers' own notes and mean nothing here, except _class_name. `file` is what errors
/// call the text. Error: not JSON; an unknown key; a value that this network does not have (key, value and what is
/// allowed are named); a configuration that check() refuses.
NetworkConfig network_config_from_json(const std::string& text, const std::string& file = "config.json");

/// A key of the file, and its values in two configurations as JSON.
struct ConfigDifference {
  std::string key, first, second;
};
/// The first key of the file whose values differ; none: both describe the same network.
std::optional<ConfigDifference> first_difference(const NetworkConfig& first, const NetworkConfig& second);

}  // namespace ito::model
