#include "model/unet/layers.h"

#include <cmath>

namespace ito::model {

using engine::Init;

namespace {

Init start_of(Start start, int fan_in, int fan_out) {
  switch (start) {
    case Start::xavier:
      return Init::uniform(std::sqrt(6.0 / (fan_in + fan_out)));
    case Start::he:
      return Init::uniform(std::sqrt(6.0 / fan_in));
    case Start::zero:
      return Init::zeros();
  }
  return Init::zeros();
}

}  // namespace

Conv2d::Conv2d(const Scope& scope, int in, int out, int filter, int stride, Start start, bool with_bias)
    : weight(scope.filter("weight", {out, filter, filter, in},
                          start_of(start, in * filter * filter, out * filter * filter))),
      stride(stride),
      padding(engine::Padding::same(filter)) {
  if (with_bias) bias = scope.weight("bias", {out}, Init::zeros());
}

Linear::Linear(const Scope& scope, int in, int out, Start start, bool with_bias)
    : weight(scope.weight("weight", {out, in}, start_of(start, in, out))) {
  if (with_bias) bias = scope.weight("bias", {out}, Init::zeros());
}

GroupNorm::GroupNorm(const Scope& scope, int channels, int groups, float eps)
    : gamma(scope.weight("weight", {channels}, Init::ones())),
      beta(scope.weight("bias", {channels}, Init::zeros())),
      groups(groups),
      eps(eps) {}

ResnetBlock::ResnetBlock(const Scope& scope, const NetworkConfig& c, int in, int out, Resample resample)
    : norm1(scope / "norm1", in, c.groups_of(in), c.norm_eps),
      conv1(scope / "conv1", in, out, 3),
      time_emb_proj(scope / "time_emb_proj", 4 * c.block_channels[0], c.scale_shift ? 2 * out : out),
      norm2(scope / "norm2", out, c.groups_of(out), c.norm_eps),
      conv2(scope / "conv2", out, out, 3, 1, Start::zero),
      activation(c.activation),
      scale_shift(c.scale_shift),
      resample(resample) {
  if (in != out) conv_shortcut.emplace(scope / "conv_shortcut", in, out, 1);
}

Tensor ResnetBlock::operator()(const Concat& x, const Tensor& embedding, DropoutSource& dropout) const {
  if (!conv_shortcut && x.second.defined())
    fail("a decoder block must change the number of channels: channels may not shrink");
  const auto resized = [&](const Tensor& h) {
    return resample == Resample::up ? nearest_up(h) : resample == Resample::down ? box_down(h) : h;
  };
  const Tensor time = time_emb_proj(embedding);                                    // [N,Cout] or [N,2 Cout]
  Tensor h = resized(norm1(x, activation));                                        // [N,H',W',Cin]
  h = conv1(h, scale_shift ? Tensor{} : time);                                     // [N,H',W',Cout]
  h = dropout(norm2(h, activation, scale_shift ? time : Tensor{}));                // [N,H',W',Cout]
  const Tensor shortcut = conv_shortcut ? (*conv_shortcut)(x) : resized(x.first);  // [N,H',W',Cout]
  return conv2(h, /*shift=*/{}, /*residual=*/shortcut);                            // [N,H',W',Cout]
}

AttentionBlock::AttentionBlock(const Scope& scope, const NetworkConfig& c, int channels)
    : group_norm(scope / "group_norm", channels, c.groups_of(channels), c.norm_eps),
      q_weight((scope / "to_q")
                   .weight("weight", {channels, channels}, start_of(Start::xavier, channels, channels))),
      k_weight((scope / "to_k")
                   .weight("weight", {channels, channels}, start_of(Start::xavier, channels, channels))),
      v_weight((scope / "to_v")
                   .weight("weight", {channels, channels}, start_of(Start::xavier, channels, channels))),
      q_bias((scope / "to_q").weight("bias", {channels}, Init::zeros())),
      k_bias((scope / "to_k").weight("bias", {channels}, Init::zeros())),
      v_bias((scope / "to_v").weight("bias", {channels}, Init::zeros())),
      to_out(scope / "to_out" / "0", channels, channels, Start::zero),
      heads(c.heads_of(channels)) {}

Tensor AttentionBlock::operator()(const Tensor& x) const {
  const auto& s = x.shape();
  Tensor h = group_norm(x, Activation::none);  // [N,H,W,C]
  h = reshape(h, {s[0], s[1] * s[2], s[3]});   // [N,T,C]
  h = attention(linear(h, q_weight(), q_bias()), linear(h, k_weight(), k_bias()),
                linear(h, v_weight(), v_bias()), heads);
  return reshape(to_out(h, reshape(x, {s[0], s[1] * s[2], s[3]})), s);  // [N,H,W,C]
}

TimeEmbedding::TimeEmbedding(const Scope& scope, const NetworkConfig& c)
    : kind(c.embedding),
      sinusoidal{c.flip_sin_to_cos, c.freq_shift, 10000},
      width(c.block_channels[0]),
      linear_1(scope.outer() / "time_embedding" / "linear_1",
               kind == EmbeddingKind::fourier ? 2 * width : width, 4 * width),
      linear_2(scope.outer() / "time_embedding" / "linear_2", 4 * width, 4 * width),
      activation(c.activation) {
  if (kind == EmbeddingKind::fourier)
    frequencies = (scope / "time_proj").fixed("weight", {width}, Init::normal(c.fourier_scale));
  if (c.condition) condition_embedding.emplace(scope.outer() / kConditionEmbedding, c.condition, 4 * width);
  if (c.classes)
    class_embedding =
        (scope.outer() / kClassEmbedding)
            .table("weight", {4 * width, c.classes}, start_of(Start::xavier, c.classes, 4 * width));
  if (c.augment)
    augment_embedding.emplace(scope.outer() / kAugmentEmbedding, kAugmentationLabels, 4 * width,
                              Start::xavier, false);
}

Tensor TimeEmbedding::operator()(const NetworkInput& input, engine::DType dtype) const {
  Tensor e = kind == EmbeddingKind::fourier
                 ? gaussian_fourier(input.c_noise, frequencies(), true, dtype)   // [N,2 C0]
                 : engine::sinusoidal(input.c_noise, width, sinusoidal, dtype);  // [N,C0]
  e = linear_2(activate(linear_1(e), activation));                               // [N,4 C0]
  if (input.condition.defined()) {
    const Tensor given = cast(input.condition, dtype);  // [N,K]
    const Tensor condition = condition_embedding ? (*condition_embedding)(given)
                                                 : linear(given, class_embedding(), {});  // [N,4 C0]
    e = add(e, scale_samples(condition, input.keep));                                     // [N,4 C0]
  }
  if (augment_embedding && input.augment.defined())
    e = (*augment_embedding)(cast(input.augment, dtype), /*residual=*/e);  // [N,4 C0]
  return e;
}

}  // namespace ito::model
