#include "bench/kernel_shapes.h"

#include <algorithm>
#include <tuple>

#include "model/unet/network.h"

namespace ito::bench {

namespace {

using engine::ConvCall;
using kernels::LinearDims;

auto key(const ConvCall& call) {
  const auto& d = call.dims;
  return std::tuple(d.n, d.h, d.w, d.c1, d.c2, d.k, d.r, d.s, d.stride, d.pad_top, d.pad_left, d.pad_bottom,
                    d.pad_right, call.pass);
}
auto key(const NormShape& s) { return std::tuple(s.h, s.w, s.c1, s.c2); }
auto key(const AttentionShape& s) { return std::tuple(s.h, s.w, s.channels, s.heads); }
auto key(const LinearDims& s) { return std::tuple(s.m, s.in, s.out); }
auto key(const ImageShape& s) { return std::tuple(s.h, s.w, s.c); }

template <class Dims>
void add(std::vector<Used<Dims>>& list, const Dims& dims, int uses = 1) {
  const auto same =
      std::find_if(list.begin(), list.end(), [&](const auto& used) { return key(used.dims) == key(dims); });
  if (same == list.end())
    list.push_back({dims, uses});
  else
    same->uses += uses;
}

/// The convolutions of a forward pass in their order, and the number of parameters.
std::vector<ConvCall> trace(const model::NetworkConfig& config, int batch, int64_t& parameters) {
  engine::Device device;
  engine::ParamStore store(device);
  const model::Network network(model::Scope(store), config);
  parameters = store.trainable_count();
  store.allocate(engine::ParamStore::Use::inference, 0);
  std::vector<ConvCall> calls;
  device.recorder().conv_calls = &calls;
  engine::DryRun dry(device);
  engine::NoGrad off(device);
  network({engine::Tensor(device, {batch, config.height, config.width, config.channels}, engine::DType::f32),
           engine::Tensor(device, {batch}, engine::DType::f32),
           {},
           {},
           {}});
  return calls;
}

/// A 3x3 convolution that keeps the size reads a norm's result; but the first reads the image, and one that
/// works on a larger image than its predecessor reads an upsampled one. What the norm read is what the 1x1
/// shortcut around it reads, where there is one.
void find_norms(const std::vector<ConvCall>& calls, NetworkShapes& shapes) {
  for (size_t i = 1; i < calls.size(); ++i) {
    const auto &d = calls[i].dims, &before = calls[i - 1].dims;
    if (d.r != 3 || d.stride != 1) continue;
    if (d.h > before.out_h())
      add(shapes.upsamplings, ImageShape{d.h / 2, d.w / 2, d.c()});
    else if (i + 1 < calls.size() && calls[i + 1].dims.r == 1)
      add(shapes.norms, NormShape{d.h, d.w, calls[i + 1].dims.c1, calls[i + 1].dims.c2});
    else
      add(shapes.norms, NormShape{d.h, d.w, d.c1, d.c2});
  }
}

/// q, k, v and the output each take one product; the embedding takes two, and one for each residual block.
void find_products(const model::NetworkConfig& c, int batch, NetworkShapes& shapes) {
  const auto attend = [&](int level, int uses) {
    const int channels = c.block_channels[size_t(level)], h = c.height >> level, w = c.width >> level;
    add(shapes.attentions, AttentionShape{h, w, channels, c.heads_of(channels)}, uses);
    add(shapes.norms, NormShape{h, w, channels, 0}, uses);
    add(shapes.products, LinearDims{batch * h * w, channels, channels}, 4 * uses);
  };
  const int levels = c.levels(), wide = 4 * c.block_channels[0];
  for (int level = 0; level < levels; ++level) {
    if (c.attention[size_t(level)]) attend(level, 2 * c.layers_per_block + 1);
    add(shapes.products, LinearDims{batch, wide, c.block_channels[size_t(level)]},
        2 * c.layers_per_block + 1);
  }
  attend(levels - 1, 1);
  add(shapes.products, LinearDims{batch, wide, c.block_channels.back()}, 2);
  const bool fourier = c.embedding == model::EmbeddingKind::fourier;
  add(shapes.products, LinearDims{batch, c.block_channels[0] * (fourier ? 2 : 1), wide});
  add(shapes.products, LinearDims{batch, wide, wide});
}

}  // namespace

std::vector<Used<ConvCall>> distinct(const std::vector<ConvCall>& calls) {
  std::vector<Used<ConvCall>> result;
  for (const ConvCall& call : calls) add(result, call);
  return result;
}

NetworkShapes network_shapes(const model::NetworkConfig& config, int batch) {
  if (config.kind != model::NetworkKind::unet)
    fail(
        "the shapes of this preset's network are not known here: take one of diffusers' family, as celeba64");
  NetworkShapes shapes;
  const std::vector<ConvCall> calls = trace(config, batch, shapes.parameters);
  shapes.convolutions = distinct(calls);
  find_norms(calls, shapes);
  find_products(config, batch, shapes);
  return shapes;
}

}  // namespace ito::bench
