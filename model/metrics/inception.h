#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/metrics/conv_unit.h"
#include "model/metrics/inception_input.h"
#include "model/metrics/weight_source.h"

namespace ito::model {

/// Inception-v3 (arXiv:1512.00567) as FID uses it: the TensorFlow graph of 2015-12-05, 1008 classes, in the
/// names and layout of pt_inception-2015-12-05-6726825d.pth. Average pools do not count their padding, and
/// the last block has a maximum in that place. Batch norm (eps 0.001) is folded into the convolutions.
/// Nothing is recorded on the tape.
class Inception {
 public:
  static constexpr int kFeatures = 2048, kClasses = 1008;
  Inception(Device&, const WeightSource&);

  /// Sees what a layer or block gives, by its name in the weights, "MaxPool_1" or "MaxPool_2".
  using Observer = std::function<void(const std::string& name, const Tensor& y)>;
  /// x [N,299,299,3] of inception_input -> the mean over the last block's pixels, "pool3": [N,2048].
  Tensor pool3(const Tensor& x, const Observer& see = {}) const;
  /// pool3 -> [N,1008] without the classes' bias, as the Inception score is defined in practice.
  Tensor logits(const Tensor& pool3) const;
  Device& device() const { return *device_; }

 private:
  /// Layers after an optional pooling. fork: the last two both read the output of the one before them; their outputs
  /// are concatenated.
  struct Branch {
    std::optional<engine::Pooling> pooling;
    int stride;  // of the pooling
    std::vector<ConvUnit> units;
    bool fork;
    Tensor operator()(Tensor x) const;
  };
  struct Block {
    std::string name;
    std::vector<Branch> branches;  // side by side
  };
  class Builder;

  Device* device_;
  std::vector<std::pair<std::string, ConvUnit>> stem_;
  std::vector<Block> blocks_;
  Tensor classes_;  // [1008,2048]
};

/// pool3 of images: uint8 in, f32 out, a batch at a time.
class InceptionFeatures {
 public:
  /// batch: images that the network sees together, which takes 12 MB of the arena each.
  InceptionFeatures(Device&, const WeightSource&, ResizeMode, int batch = 8);
  /// images u8 [n,h,w,3] -> features [n,2048] and, unless null, logits [n,1008]. An image's numbers do not
  /// depend on the others.
  void operator()(const uint8_t* images, int64_t n, int h, int w, float* features,
                  float* logits = nullptr) const;
  const Inception& network() const { return network_; }

 private:
  Inception network_;
  ResizeMode mode_;
  int batch_;
  size_t batch_bytes_;  // of the arena
};

}  // namespace ito::model
