#include "model/unet/tutorial_unet.h"

namespace ito::model {

namespace {
constexpr int kEmbedding = 256;
constexpr Activation kSwish = Activation::silu;
}  // namespace

TutorialUNet::TutorialUNet(const Scope& scope, const NetworkConfig& c)
    : frequencies_(
          (scope / "time_proj").fixed("weight", {kEmbedding / 2}, engine::Init::normal(c.fourier_scale))),
      embed_(scope.outer() / "time_embedding", kEmbedding, kEmbedding),
      conv_out_(scope.outer() / "conv_out", 2 * c.block_channels[0], c.channels, 3, 1, Start::zero) {
  const auto stage = [&](const Scope& s, const Scope& conv, int in, int out, int stride) {
    return Stage{{conv / "conv", in, out, 3, stride, Start::xavier, false},
                 {s / "dense", kEmbedding, out},
                 {s / "norm", out, out < 64 ? 4 : c.groups, c.norm_eps}};
  };
  const std::vector<int>& width = c.block_channels;
  for (int i = 0; i < c.levels(); ++i) {
    const Scope s = scope / "down" / i;
    down_.push_back(
        stage(s, i ? s : s.outer(), i ? width[size_t(i - 1)] : c.channels, width[size_t(i)], i ? 2 : 1));
  }
  for (int i = c.levels() - 1; i > 0; --i) {
    const Scope s = scope / "up" / (c.levels() - 1 - i);
    const int in = i == c.levels() - 1 ? width[size_t(i)] : 2 * width[size_t(i)];
    up_.push_back(stage(s, s, in, width[size_t(i - 1)], 1));
  }
}

Tensor TutorialUNet::Stage::operator()(const Concat& x, const Tensor& embedding) const {
  return norm(conv(x, dense(embedding)), kSwish);  // [N,H/stride,W/stride,C_l]
}

Tensor TutorialUNet::operator()(const NetworkInput& input) const {
  Tensor e = gaussian_fourier(input.c_noise, frequencies_(), true, input.x.dtype());  // [N,256]
  e = activate(embed_(e), kSwish);                                                    // [N,256]
  std::vector<Tensor> skips;
  Tensor h = input.x;
  for (const Stage& stage : down_) skips.push_back(h = stage(h, e));  // [N,H,W,C_l]
  Concat x = h;
  for (size_t i = 0; i < up_.size(); ++i) {
    const Tensor first = nearest_up(x.first);  // [N,2H,2W,C]
    h = up_[i](x.second.defined() ? Concat(first, nearest_up(x.second)) : Concat(first),
               e);  // [N,2H,2W,C_{l-1}]
    x = Concat(h, skips[skips.size() - 2 - i]);
  }
  return conv_out_(x);  // [N,H,W,C]
}

}  // namespace ito::model
