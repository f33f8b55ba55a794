#include "model/unet/presets.h"

#include "kernels/base/names.h"

namespace ito::model {

namespace {

NetworkConfig unet(int size, std::vector<int> channels, std::vector<bool> attention, int blocks, int groups,
                   int head_width) {
  NetworkConfig c;
  c.height = c.width = size;
  c.block_channels = std::move(channels);
  c.attention = std::move(attention);
  c.layers_per_block = blocks;
  c.groups = groups;
  c.head_width = head_width;
  return c;
}

/// DDPM's and DDIM's: one head, strided convolutions padded on the right and at the bottom only, as in the TensorFlow
/// original.
NetworkConfig ddpm(int size, std::vector<int> channels, std::vector<bool> attention) {
  NetworkConfig c = unet(size, std::move(channels), std::move(attention), 2, 32, 0);
  c.pad_both_sides = false;
  c.norm_eps = 1e-6f;
  return c;
}

NetworkConfig specification() {
  NetworkConfig c = unet(64, {64, 128, 256, 512}, {false, false, false, false}, 1, 32, 0);
  c.kind = NetworkKind::document;
  c.activation = Activation::relu;
  c.skips = SkipKind::add;
  return c;
}

NetworkConfig tutorial() {
  NetworkConfig c = unet(64, {32, 64, 128, 256}, {false, false, false, false}, 1, 32, 0);
  c.kind = NetworkKind::tutorial;
  c.fourier_scale = 30;
  return c;
}

}  // namespace

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"tiny", "16x(1,2), 16 px: for tests and a first look", unet(16, {16, 32}, {false, true}, 1, 8, 0)},
      {"faces32", "32x(1,2,2), 32 px: the demo's, minutes on two cores",
       unet(32, {32, 64, 64}, {false, false, true}, 1, 8, 0)},
      {"faces64", "32x(1,1,2,2), 64 px: the demo's on a faster machine",
       unet(64, {32, 32, 64, 64}, {false, false, false, true}, 1, 8, 0)},
      {"faces128", "32x(1,1,1,2,2), 128 px: drawn faces on a CPU, with patience",
       unet(128, {32, 32, 32, 64, 64}, {false, false, false, false, true}, 1, 8, 0)},
      {"small", "32x(1,2,2,4), 64 px: a day on a CPU",
       unet(64, {32, 64, 64, 128}, {false, false, true, false}, 1, 32, 0)},
      {"celeba64", "128x(1,2,2,2), 2 blocks, 64 px: CelebA on a GPU",
       unet(64, {128, 256, 256, 256}, {false, false, true, false}, 2, 32, 64)},
      {"celeba64-ddim", "128x(1,2,2,2,4), 2 blocks, 64 px: the network of DDIM's CelebA",
       ddpm(64, {128, 256, 256, 256, 512}, {false, false, true, false, false})},
      {"celeba128", "128x(1,1,2,2,4), 2 blocks, 128 px: celeba256 with one level less",
       ddpm(128, {128, 128, 256, 256, 512}, {false, false, false, true, false})},
      {"celeba256", "128x(1,1,2,2,4,4), 2 blocks, 256 px: the network of DDPM's CelebA-HQ",
       ddpm(256, {128, 128, 256, 256, 512, 512}, {false, false, false, false, true, false})},
      {"document", "64-128-256-512, ReLU, added skips: the specification's", specification()},
      {"tutorial", "32-64-128-256: the score-SDE tutorial's", tutorial()},
  };
  return all;
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& p : presets()) names.push_back(p.name);
  return names;
}

const Preset& preset(const std::string& name) {
  for (const Preset& p : presets())
    if (p.name == name) return p;
  fail_unknown_name("preset", name, preset_names());
}

}  // namespace ito::model
