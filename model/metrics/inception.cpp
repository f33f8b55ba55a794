#include "model/metrics/inception.h"

#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"

namespace ito::model {

namespace {

using engine::Padding;
using engine::Pooling;

/// A layer: a block's name for it, filters, their height and width. With stride 2 it has no padding, else its
/// result has its input's size.
struct Layer {
  const char* name;
  int k, r, s, stride = 1;
};

struct BatchNorm {
  std::vector<float> gain, bias, mean, variance;
};

}  // namespace

class Inception::Builder {
 public:
  Builder(Device& device, const WeightSource& weights) : device_(device), weights_(weights) {}

  ConvUnit unit(const std::string& name, int c, const Layer& l, const Padding& padding) const {
    const std::vector<int64_t> shape{l.k, c, l.r, l.s};
    std::vector<float> w = weights_(name + ".conv.weight", shape);
    const auto norm = [&](const char* part) { return weights_(name + ".bn." + part, {l.k}); };
    const BatchNorm bn{norm("weight"), norm("bias"), norm("running_mean"), norm("running_var")};
    std::vector<float> bias(size_t(l.k));
    const size_t per_filter = w.size() / bias.size();
    for (size_t k = 0; k < bias.size(); ++k) {
      const double scale = bn.gain[k] / std::sqrt(double(bn.variance[k]) + 1e-3);
      for (size_t i = k * per_filter; i < (k + 1) * per_filter; ++i) w[i] = float(w[i] * scale);
      bias[k] = float(bn.bias[k] - bn.mean[k] * scale);
    }
    return {device_, shape, w, bias, l.stride, padding};
  }

  /// Layers named after `prefix`, the first of which reads c channels.
  Branch branch(const std::string& prefix, int c, const std::vector<Layer>& layers,
                std::optional<Pooling> pooling = {}, bool fork = false) const {
    Branch b{pooling, 1, {}, fork};
    for (size_t i = 0; i < layers.size(); ++i) {
      const Layer& l = layers[i];
      const Padding same{l.r / 2, l.s / 2, l.r / 2, l.s / 2};
      b.units.push_back(unit(prefix + l.name, c, l, l.stride == 1 ? same : Padding{}));
      if (!fork || i + 2 != layers.size()) c = l.k;
    }
    return b;
  }
  static Branch halving_pool() { return {Pooling::max, 2, {}, false}; }

  Block block_5(const std::string& name, int c, int pooled) const {
    const std::string p = name + ".";
    return {name,
            {branch(p, c, {{"branch1x1", 64, 1, 1}}),
             branch(p + "branch5x5", c, {{"_1", 48, 1, 1}, {"_2", 64, 5, 5}}),
             branch(p + "branch3x3dbl", c, {{"_1", 64, 1, 1}, {"_2", 96, 3, 3}, {"_3", 96, 3, 3}}),
             branch(p, c, {{"branch_pool", pooled, 1, 1}}, Pooling::mean)}};
  }
  Block block_6a(const std::string& name, int c) const {
    const std::string p = name + ".";
    return {name,
            {branch(p, c, {{"branch3x3", 384, 3, 3, 2}}),
             branch(p + "branch3x3dbl", c, {{"_1", 64, 1, 1}, {"_2", 96, 3, 3}, {"_3", 96, 3, 3, 2}}),
             halving_pool()}};
  }
  Block block_6(const std::string& name, int width) const {
    const std::string p = name + ".";
    const int c = 768, m = width;
    return {name,
            {branch(p, c, {{"branch1x1", 192, 1, 1}}),
             branch(p + "branch7x7", c, {{"_1", m, 1, 1}, {"_2", m, 1, 7}, {"_3", 192, 7, 1}}),
             branch(p + "branch7x7dbl", c,
                    {{"_1", m, 1, 1}, {"_2", m, 7, 1}, {"_3", m, 1, 7}, {"_4", m, 7, 1}, {"_5", 192, 1, 7}}),
             branch(p, c, {{"branch_pool", 192, 1, 1}}, Pooling::mean)}};
  }
  Block block_7a(const std::string& name, int c) const {
    const std::string p = name + ".";
    return {name,
            {branch(p + "branch3x3", c, {{"_1", 192, 1, 1}, {"_2", 320, 3, 3, 2}}),
             branch(p + "branch7x7x3", c,
                    {{"_1", 192, 1, 1}, {"_2", 192, 1, 7}, {"_3", 192, 7, 1}, {"_4", 192, 3, 3, 2}}),
             halving_pool()}};
  }
  Block block_7(const std::string& name, int c, Pooling pooling) const {
    const std::string p = name + ".";
    return {
        name,
        {branch(p, c, {{"branch1x1", 320, 1, 1}}),
         branch(p + "branch3x3", c, {{"_1", 384, 1, 1}, {"_2a", 384, 1, 3}, {"_2b", 384, 3, 1}}, {}, true),
         branch(p + "branch3x3dbl", c,
                {{"_1", 448, 1, 1}, {"_2", 384, 3, 3}, {"_3a", 384, 1, 3}, {"_3b", 384, 3, 1}}, {}, true),
         branch(p, c, {{"branch_pool", 192, 1, 1}}, pooling)}};
  }

 private:
  Device& device_;
  const WeightSource& weights_;
};

Inception::Inception(Device& device, const WeightSource& weights) : device_(&device) {
  const Builder b(device, weights);
  const auto stem = [&](const char* name, int c, const Layer& layer, int padding) {
    stem_.emplace_back(name, b.unit(name, c, layer, {padding, padding, padding, padding}));
  };
  stem("Conv2d_1a_3x3", 3, {"", 32, 3, 3, 2}, 0);
  stem("Conv2d_2a_3x3", 32, {"", 32, 3, 3}, 0);
  stem("Conv2d_2b_3x3", 32, {"", 64, 3, 3}, 1);
  stem("Conv2d_3b_1x1", 64, {"", 80, 1, 1}, 0);
  stem("Conv2d_4a_3x3", 80, {"", 192, 3, 3}, 0);
  blocks_ = {b.block_5("Mixed_5b", 192, 32),
             b.block_5("Mixed_5c", 256, 64),
             b.block_5("Mixed_5d", 288, 64),
             b.block_6a("Mixed_6a", 288),
             b.block_6("Mixed_6b", 128),
             b.block_6("Mixed_6c", 160),
             b.block_6("Mixed_6d", 160),
             b.block_6("Mixed_6e", 192),
             b.block_7a("Mixed_7a", 768),
             b.block_7("Mixed_7b", 1280, Pooling::mean),
             b.block_7("Mixed_7c", 2048, Pooling::max)};
  classes_ = resident(device, {kClasses, kFeatures}, weights("fc.weight", {kClasses, kFeatures}));
}

Tensor Inception::Branch::operator()(Tensor x) const {
  if (pooling)
    x = pool(x, *pooling, {3, 3}, stride, stride == 1 ? Padding::same(3) : Padding{});  // as x, or halved
  const size_t chain = units.size() - (fork ? 2 : 0);
  for (size_t i = 0; i < chain; ++i) x = units[i](x);
  return fork ? engine::join({units[chain](x), units[chain + 1](x)}) : x;
}

Tensor Inception::pool3(const Tensor& input, const Observer& see) const {
  const engine::NoGrad off(*device_);
  const auto seen = [&](const std::string& name, const Tensor& y) {
    if (see) see(name, y);
    return y;
  };
  Tensor x = input;
  for (size_t i = 0; i < stem_.size(); ++i) {
    x = seen(stem_[i].first, stem_[i].second(x));
    if (i == 2) x = seen("MaxPool_1", pool(x, Pooling::max, {3, 3}, 2, {}));  // [N,73,73,64]
    if (i == 4) x = seen("MaxPool_2", pool(x, Pooling::max, {3, 3}, 2, {}));  // [N,35,35,192]
  }
  for (const Block& block : blocks_) {
    std::vector<Tensor> parts;
    for (const Branch& branch : block.branches) parts.push_back(branch(x));
    x = seen(block.name, engine::join(parts));
  }
  const engine::Shape s = x.shape();  // [N,8,8,2048]
  x = pool(x, Pooling::mean, {int(s[1]), int(s[2])}, 1, {});
  return reshape(x, {s[0], s[3]});
}

Tensor Inception::logits(const Tensor& pool3) const {
  const engine::NoGrad off(*device_);
  return linear(pool3, classes_, {});
}

InceptionFeatures::InceptionFeatures(Device& device, const WeightSource& weights, ResizeMode mode, int batch)
    : network_(device, weights), mode_(mode), batch_(batch) {
  if (batch < 1) fail(cat("a batch of ", batch, " images; it takes at least one"));
  const engine::DryRun dry(device);
  network_.logits(network_.pool3({device, {batch, kInceptionSize, kInceptionSize, 3}, DType::f32}));
  batch_bytes_ = dry.peak_bytes();
}

void InceptionFeatures::operator()(const uint8_t* images, int64_t n, int h, int w, float* features,
                                   float* logits) const {
  if (h < 1 || w < 1) fail(cat("images of ", w, "x", h, " pixels have no features"));
  Device& device = network_.device();
  device.reserve(batch_bytes_);
  constexpr int64_t kInput = int64_t(kInceptionSize) * kInceptionSize * 3;
  std::vector<float> inputs(size_t(std::min<int64_t>(n, batch_) * kInput));
  for (int64_t first = 0; first < n; first += batch_) {
    const int64_t count = std::min<int64_t>(batch_, n - first);
    kernels::parallel_each(device.cpu_stream(), count, [&](int64_t i) {
      inception_input(mode_, images + (first + i) * h * w * 3, h, w, inputs.data() + i * kInput);
    });
    const Tensor x =
        Tensor::from(device, {count, kInceptionSize, kInceptionSize, 3}, DType::f32, inputs.data());
    const Tensor y = network_.pool3(x);
    device.download(features + first * Inception::kFeatures, y.data(), y.bytes());
    if (!logits) continue;
    const Tensor z = network_.logits(y);
    device.download(logits + first * Inception::kClasses, z.data(), z.bytes());
  }
}

}  // namespace ito::model
