#pragma once

#include <cstdint>
#include <vector>

#include "model/metrics/conv_unit.h"
#include "model/metrics/weight_source.h"

namespace ito::model {

/// LPIPS v0.1 with AlexNet (arXiv:1801.03924): d(a,b) = sum over its five ReLU layers of the mean over pixels
/// of sum_c w_c (a_c / |a| - b_c / |b|)^2, where |a| is the norm over channels.
class Lpips {
 public:
  /// alexnet: torchvision's (features.0, 3, 6, 8, 10: weight, bias); heads: the package's
  /// weights/v0.1/alex.pth (lin0 ... lin4 .model.1.weight). batch: images that the network sees together.
  Lpips(Device&, const WeightSource& alexnet, const WeightSource& heads, int batch = 16);

  /// d of a[i] and b[i], both u8 [pairs,h,w,3], in f64. A pair's number does not depend on the others. Error:
  /// images of less than 31 pixels, of which the third layer would have nothing left.
  void distances(const uint8_t* a, const uint8_t* b, int64_t pairs, int h, int w, double* d) const;
  /// What the five layers give for x [N,H,W,3] of `input`: [N,h,w,c] each.
  std::vector<Tensor> layers(const Tensor& x) const;
  /// u8 [count,h,w,3] -> (v / 127.5 - 1 - shift) / scale, the package's constants.
  Tensor input(const uint8_t* images, int64_t count, int h, int w) const;

 private:
  /// Bytes of the arena for two batches of images.
  size_t batch_bytes(int64_t count, int h, int w) const;

  Device* device_;
  std::vector<ConvUnit> convolutions_;
  std::vector<std::vector<float>> heads_;
  int batch_;
};

}  // namespace ito::model
