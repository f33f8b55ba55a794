#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/group_norm.h"

namespace ito::model {

using kernels::Activation;

/// Which network. unet: diffusers' UNet2DModel; document: the founding text's; tutorial: the score-SDE
/// tutorial's.
enum class NetworkKind : uint8_t { unet, document, tutorial };
/// fourier: [sin, cos](2 pi W c), W ~ N(0, scale^2) fixed; sinusoidal: the transformer's.
enum class EmbeddingKind : uint8_t { fourier, sinusoidal };
/// How the decoder takes up what the encoder made: side by side, or (after a 1x1 where channels differ)
/// added.
enum class SkipKind : uint8_t { concatenate, add };

/// Everything that determines a network's parameters and arithmetic; stored with every checkpoint.
struct NetworkConfig {
  NetworkKind kind = NetworkKind::unet;
  int height = 64, width = 64, channels = 3;
  std::vector<int> block_channels = {128, 256, 256, 256};  // of each level, finest first
  std::vector<bool> attention = {false, false, true, false};
  int layers_per_block = 2;
  int groups = 32;
  float norm_eps = 1e-5f;
  int head_width = 0;  // channels of an attention head; 0: one head
  EmbeddingKind embedding = EmbeddingKind::fourier;
  float fourier_scale = 16;
  bool flip_sin_to_cos = true;  // sinusoidal: cosines first
  float freq_shift = 0;         // sinusoidal
  bool pad_both_sides = true;  // stride-2 convolutions: padding 1 all round, or (false) right and bottom only
  Activation activation = Activation::silu;
  SkipKind skips = SkipKind::concatenate;
  float dropout = 0;
  int condition = 0;  // K numbers of an optional condition vector; 0: none

  int levels() const { return int(block_channels.size()); }
  /// Heights and widths must be multiples of this.
  int stride() const { return 1 << (levels() - 1); }
};

/// Fails, saying what to change, unless the configuration makes a network.
void check(const NetworkConfig& config);

/// JSON as diffusers writes `unet/config.json`, ours beside it under "ito_*" keys; from_json also reads
/// diffusers' own.
std::string to_json(const NetworkConfig& config);
NetworkConfig network_config_from_json(const std::string& text);

}  // namespace ito::model
