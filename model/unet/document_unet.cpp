#include "model/unet/document_unet.h"

namespace ito::model {

namespace {
constexpr Activation kRelu = Activation::relu;
}

DocumentUNet::DocumentUNet(const Scope& scope, const NetworkConfig& c)
    : frequencies_((scope / "time_proj")
                       .fixed("weight", {c.block_channels[0]}, engine::Init::normal(c.fourier_scale))),
      time_1_(scope.outer() / "time_embedding" / "linear_1", 2 * c.block_channels[0], 4 * c.block_channels[0],
              Start::he),
      time_2_(scope.outer() / "time_embedding" / "linear_2", 4 * c.block_channels[0], 4 * c.block_channels[0],
              Start::he),
      conv_out_(scope.outer() / "conv_out", c.block_channels[0], c.channels, 3, 1, Start::zero) {
  const auto level = [&](const Scope& s, const Scope& first, int in, int out, bool skip) {
    Level l{{first / "conv1", in, out, 3, 1, Start::he},
            {s / "conv2", out, out, 3, 1, Start::he},
            {s / "time_emb_proj", 4 * c.block_channels[0], out},
            {}};
    if (skip) l.skip.emplace(s / "skip", out, out, 1);
    return l;
  };
  for (int i = 0; i < c.levels(); ++i) {
    const Scope s = scope / "contracting" / i;
    contracting_.push_back(level(s, i ? s : s.outer(), i ? c.block_channels[size_t(i - 1)] : c.channels,
                                 c.block_channels[size_t(i)], false));
  }
  for (int i = c.levels() - 2; i >= 0; --i) {
    const Scope s = scope / "expansive" / (c.levels() - 2 - i);
    expansive_.push_back(level(s, s, c.block_channels[size_t(i + 1)], c.block_channels[size_t(i)], true));
  }
}

Tensor DocumentUNet::Level::operator()(const Tensor& x, const Tensor& embedding, const Tensor& across) const {
  const Tensor added = skip ? (*skip)(across) : Tensor{};              // [N,H,W,C_l]
  const Tensor h = activate(first(x, time(embedding), added), kRelu);  // [N,H,W,C_l]
  return activate(second(h), kRelu);                                   // [N,H,W,C_l]
}

Tensor DocumentUNet::operator()(const NetworkInput& input) const {
  Tensor e = gaussian_fourier(input.c_noise, frequencies_(), false, input.x.dtype());  // [N,2 C0]
  e = activate(time_2_(activate(time_1_(e), kRelu)), kRelu);                           // [N,4 C0]
  std::vector<Tensor> across;
  Tensor h = input.x;
  for (const Level& level : contracting_) {
    if (!across.empty()) h = box_down(h);  // [N,H/2,W/2,C_{l-1}]
    h = level(h, e, {});                   // [N,H,W,C_l]
    across.push_back(h);
  }
  across.pop_back();
  for (const Level& level : expansive_) {
    h = level(nearest_up(h), e, across.back());  // [N,H,W,C_l]
    across.pop_back();
  }
  return conv_out_(h);  // [N,H,W,C]
}

}  // namespace ito::model
