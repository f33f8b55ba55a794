#pragma once

#include <optional>
#include <vector>

#include "engine/ops.h"
#include "engine/parameters.h"
#include "model/unet/config.h"

/// The U-Net's building blocks: plain structs whose parameters bear diffusers' names. N images, H x W pixels,
/// C channels.
namespace ito::model {

using engine::Concat;
using engine::Parameter;
using engine::Scope;
using engine::Tensor;

/// Where dropout's masks come from in training: each layer takes the next number. p = 0 outside training.
struct DropoutSource {
  float p = 0;
  uint64_t seed = 0;
  uint32_t first_sample = 0;
  const uint32_t* step = nullptr;
  uint32_t layer = 0;
  Tensor operator()(const Tensor& x) { return engine::dropout(x, p, {seed, layer++, first_sample, step}); }
};

/// How a layer's weights start. xavier: U(+-sqrt(6 / (fan_in + fan_out))) as EDM's; he: for ReLU; zero: a
/// branch that starts silent.
enum class Start : uint8_t { xavier, he, zero };

/// What a network reads. x [N,H,W,C]; c_noise [N] f32; condition [N,K] f32 (attributes, or 1 at a class) and keep [N]
/// f32 (0 drops a sample's condition), or both undefined; augment [N,kAugmentationLabels] f32, or undefined: zeros, as
/// when sampling.
struct NetworkInput {
  Tensor x, c_noise, condition, keep;
  DropoutSource dropout;
  Tensor augment = {};
};

struct Conv2d {
  Parameter weight, bias;
  int stride;
  engine::Padding padding;
  Conv2d(const Scope&, int in, int out, int filter, int stride = 1, Start start = Start::xavier,
         bool with_bias = true);
  /// shift [N,out] and residual [N,H,W,out] are added in the same pass where they are defined.
  Tensor operator()(const Concat& x, const Tensor& shift = {}, const Tensor& residual = {}) const {
    return conv2d(x, weight(), {bias.defined() ? bias() : Tensor{}, shift, residual}, stride, padding);
  }
};

struct Linear {
  Parameter weight, bias;
  Linear(const Scope&, int in, int out, Start start = Start::xavier, bool with_bias = true);
  Tensor operator()(const Tensor& x, const Tensor& residual = {}) const {
    return linear(x, weight(), bias.defined() ? bias() : Tensor{}, residual);
  }
};

struct GroupNorm {
  Parameter gamma, beta;
  int groups;
  float eps;
  GroupNorm(const Scope&, int channels, int groups, float eps);
  /// modulation: scale and shift of each sample, [N, 2 channels], where defined.
  Tensor operator()(const Concat& x, Activation activation, const Tensor& modulation = {}) const {
    return group_norm(x, gamma(), beta(), groups, eps, activation, modulation);
  }
};

/// What a block does to the size of its image: each pixel four times, or means of 2x2 pixels.
enum class Resample : uint8_t { none, up, down };

/// h = conv2(dropout(act(norm2(conv1(act(norm1(x))) + Linear(act(emb)))))); h + shortcut(x) (Ho et al.,
/// arXiv:2006.11239). With scale_shift the embedding's 2 C numbers s, b are not added before norm2, whose result
/// becomes norm2(.) (1 + s) + b. A block that resamples does so to act(norm1(x)) and to x (Dhariwal & Nichol,
/// arXiv:2105.05233).
struct ResnetBlock {
  GroupNorm norm1;
  Conv2d conv1;
  Linear time_emb_proj;
  GroupNorm norm2;
  Conv2d conv2;
  std::optional<Conv2d> conv_shortcut;
  Activation activation;
  bool scale_shift;
  Resample resample;
  ResnetBlock(const Scope&, const NetworkConfig&, int in, int out, Resample resample = Resample::none);
  /// embedding: act already applied, [N, 4 C0].
  Tensor operator()(const Concat& x, const Tensor& embedding, DropoutSource& dropout) const;
};

/// x + to_out(attention(to_q, to_k, to_v of norm(x))) over all H W positions.
struct AttentionBlock {
  GroupNorm group_norm;
  Parameter q_weight, k_weight, v_weight, q_bias, k_bias,
      v_bias;  // weights, then biases, adjacent: one product can make all three
  Linear to_out;
  int heads;
  AttentionBlock(const Scope&, const NetworkConfig&, int channels);
  Tensor operator()(const Tensor& x) const;
};

/// The layer of the condition, [4 C0, K]: the one part of a network that depends on what its images are named by.
inline constexpr const char* kConditionEmbedding = "condition_embedding";

/// The table of the classes, [K, 4 C0] in files.
inline constexpr const char* kClassEmbedding = "class_embedding";

/// The layer of the labels of augmented images, [4 C0, kAugmentationLabels] without a bias: no labels are zeros.
inline constexpr const char* kAugmentEmbedding = "augment_embedding";

/// The noise level's (and the condition's, and the augmentation's) embedding, [N, 4 C0].
struct TimeEmbedding {
  EmbeddingKind kind;
  Parameter frequencies;  // fourier
  kernels::SinusoidalOptions sinusoidal;
  int width;
  Linear linear_1, linear_2;
  std::optional<Linear> condition_embedding, augment_embedding;
  Parameter class_embedding;  // [4 C0, K], where there are classes
  Activation activation;
  TimeEmbedding(const Scope&, const NetworkConfig&);
  /// `dtype` is the network's.
  Tensor operator()(const NetworkInput&, engine::DType dtype) const;
};

}  // namespace ito::model
