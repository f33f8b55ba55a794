#include "model/unet/unet.h"

namespace ito::model {

namespace {

/// Channels of the skips in the order the encoder makes them: conv_in, then each resnet and each downsampler.
std::vector<int> skip_channels(const NetworkConfig& c) {
  std::vector<int> channels = {c.block_channels[0]};
  for (int level = 0; level < c.levels(); ++level) {
    channels.insert(channels.end(), size_t(c.layers_per_block), c.block_channels[size_t(level)]);
    if (level + 1 < c.levels()) channels.push_back(c.block_channels[size_t(level)]);
  }
  return channels;
}

template <class Make>
auto make_levels(int count, Make make) {
  std::vector<decltype(make(0))> levels;
  for (int i = 0; i < count; ++i) levels.push_back(make(i));
  return levels;
}

}  // namespace

UNet::Level UNet::down_level(const Scope& scope, const NetworkConfig& c, int level) {
  const int out = c.block_channels[size_t(level)];
  int in = c.block_channels[size_t(std::max(level - 1, 0))];
  Level l;
  for (int j = 0; j < c.layers_per_block; ++j, in = out) {
    l.resnets.emplace_back(scope / "resnets" / j, c, in, out);
    if (c.attention[size_t(level)]) l.attentions.emplace_back(scope / "attentions" / j, c, out);
  }
  if (level + 1 == c.levels()) return l;
  if (c.residual_resampling) {
    l.residual_sampler.emplace(scope / "downsamplers" / 0, c, out, out, Resample::down);
  } else {
    l.sampler.emplace(scope / "downsamplers" / 0 / "conv", out, out, 3, 2);
    if (!c.pad_both_sides) l.sampler->padding = {0, 0, 1, 1};
  }
  return l;
}

UNet::Level UNet::up_level(const Scope& scope, const NetworkConfig& c, int i) {
  const int level = c.levels() - 1 - i, blocks = c.layers_per_block + 1;
  const int out = c.block_channels[size_t(level)];
  int in = c.block_channels[size_t(std::min(level + 1, c.levels() - 1))];
  const std::vector<int> all = skip_channels(c);
  Level l;
  for (int j = 0; j < blocks; ++j, in = out) {
    const int skip = all[all.size() - 1 - size_t(i * blocks + j)];
    const bool add = c.skips == SkipKind::add;
    l.resnets.emplace_back(scope / "resnets" / j, c, add ? in : in + skip, out);
    if (add) l.skips.emplace_back(scope / "skips" / j, skip, in, 1);
    if (c.attention[size_t(level)]) l.attentions.emplace_back(scope / "attentions" / j, c, out);
  }
  if (level == 0) return l;
  if (c.residual_resampling)
    l.residual_sampler.emplace(scope / "upsamplers" / 0, c, out, out, Resample::up);
  else
    l.sampler.emplace(scope / "upsamplers" / 0 / "conv", out, out, 3);
  return l;
}

UNet::UNet(const Scope& scope, const NetworkConfig& c)
    : config_(c),
      time_(scope, c),
      conv_in_(scope.outer() / "conv_in", c.channels, c.block_channels[0], 3),
      down_(make_levels(c.levels(), [&](int i) { return down_level(scope / "down_blocks" / i, c, i); })),
      up_(make_levels(c.levels(), [&](int i) { return up_level(scope / "up_blocks" / i, c, i); })),
      mid_first_(scope / "mid_block" / "resnets" / 0, c, c.block_channels.back(), c.block_channels.back()),
      mid_attention_(scope / "mid_block" / "attentions" / 0, c, c.block_channels.back()),
      mid_second_(scope / "mid_block" / "resnets" / 1, c, c.block_channels.back(), c.block_channels.back()),
      norm_out_(scope / "conv_norm_out", c.block_channels[0], c.groups_of(c.block_channels[0]), c.norm_eps),
      conv_out_(scope.outer() / "conv_out", c.block_channels[0], c.channels, 3, 1, Start::zero) {}

Tensor UNet::encode(Tensor h, const Tensor& embedding, DropoutSource& dropout,
                    std::vector<Tensor>& skips) const {
  for (const Level& level : down_) {
    for (size_t j = 0; j < level.resnets.size(); ++j) {
      h = level.resnets[j](h, embedding, dropout);                // [N,H,W,C_l]
      if (!level.attentions.empty()) h = level.attentions[j](h);  // [N,H,W,C_l]
      skips.push_back(h);
    }
    if (!level.sampler && !level.residual_sampler) continue;
    h = level.sampler ? (*level.sampler)(h)
                      : (*level.residual_sampler)(h, embedding, dropout);  // [N,H/2,W/2,C_l]
    skips.push_back(h);
  }
  return h;
}

Tensor UNet::decode(Tensor h, const Tensor& embedding, DropoutSource& dropout,
                    std::vector<Tensor>& skips) const {
  for (const Level& level : up_) {
    for (size_t j = 0; j < level.resnets.size(); ++j) {
      Concat x = level.skips.empty() ? Concat(h, skips.back()) : Concat(add(h, level.skips[j](skips.back())));
      skips.pop_back();
      h = level.resnets[j](x, embedding, dropout);                // [N,H,W,C_l]
      if (!level.attentions.empty()) h = level.attentions[j](h);  // [N,H,W,C_l]
    }
    if (level.sampler) h = (*level.sampler)(nearest_up(h));                            // [N,2H,2W,C_l]
    if (level.residual_sampler) h = (*level.residual_sampler)(h, embedding, dropout);  // [N,2H,2W,C_l]
  }
  return h;
}

Tensor UNet::operator()(const NetworkInput& input) const {
  DropoutSource dropout = input.dropout;
  const Tensor embedding = activate(time_(input, input.x.dtype()), config_.activation);  // [N,4 C0]
  Tensor h = conv_in_(input.x);                                                          // [N,H,W,C0]
  std::vector<Tensor> skips = {h};
  h = encode(h, embedding, dropout, skips);                                                // [N,H/s,W/s,C_L]
  h = mid_second_(mid_attention_(mid_first_(h, embedding, dropout)), embedding, dropout);  // [N,H/s,W/s,C_L]
  h = decode(h, embedding, dropout, skips);                                                // [N,H,W,C0]
  return conv_out_(norm_out_(h, config_.activation));                                      // [N,H,W,C]
}

}  // namespace ito::model
