#include "model/metrics/lpips.h"

#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"

namespace ito::model {

namespace {

constexpr int kLeastSize = 31;  // 31 -> 7 -> 3 -> 1 pixels: the first convolution and two maxima of 3

struct Layer {
  int index, k, c, filter, stride, padding;  // index: in torchvision's `features`
};
constexpr Layer kLayers[] = {{0, 64, 3, 11, 4, 2},
                             {3, 192, 64, 5, 1, 2},
                             {6, 384, 192, 3, 1, 1},
                             {8, 256, 384, 3, 1, 1},
                             {10, 256, 256, 3, 1, 1}};

std::vector<float> numbers_of(const Tensor& t) {
  std::vector<float> values(size_t(t.count()));
  t.device().download(values.data(), t.data(), t.bytes());
  return values;
}

/// sum_c w_c (a_c / |a| - b_c / |b|)^2 of one pixel.
double weighted_difference(const float* a, const float* b, const std::vector<float>& w) {
  double aa = 0, bb = 0, sum = 0;
  for (size_t c = 0; c < w.size(); ++c) aa += double(a[c]) * a[c], bb += double(b[c]) * b[c];
  const double one = 1 / (std::sqrt(aa) + 1e-10), other = 1 / (std::sqrt(bb) + 1e-10);
  for (size_t c = 0; c < w.size(); ++c) {
    // Rounded to f32 each, as the package has them: else a fused multiply-add would tell a from b.
    const double difference = double(float(a[c] * one)) - double(float(b[c] * other));
    sum += w[c] * difference * difference;
  }
  return sum;
}

}  // namespace

Lpips::Lpips(Device& device, const WeightSource& alexnet, const WeightSource& heads, int batch)
    : device_(&device), batch_(batch) {
  if (batch < 1) fail(cat("a batch of ", batch, " images; it takes at least one"));
  for (const Layer& l : kLayers) {
    const std::string name = cat("features.", l.index);
    const std::vector<int64_t> shape{l.k, l.c, l.filter, l.filter};
    const engine::Padding padding{l.padding, l.padding, l.padding, l.padding};
    const std::vector<float> w = alexnet(name + ".weight", shape), bias = alexnet(name + ".bias", {l.k});
    convolutions_.emplace_back(device, shape, w, bias, l.stride, padding);
    heads_.push_back(heads(cat("lin", heads_.size(), ".model.1.weight"), {1, l.k, 1, 1}));
  }
}

Tensor Lpips::input(const uint8_t* images, int64_t count, int h, int w) const {
  constexpr double kShift[] = {-0.030, -0.088, -0.188}, kScale[] = {0.458, 0.448, 0.450};
  std::vector<float> values(size_t(count * h * w * 3));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float((images[i] / 127.5 - 1 - kShift[i % 3]) / kScale[i % 3]);
  return Tensor::from(*device_, {count, h, w, 3}, DType::f32, values.data());
}

std::vector<Tensor> Lpips::layers(const Tensor& input) const {
  const engine::NoGrad off(*device_);
  std::vector<Tensor> results;
  Tensor x = input;
  for (const ConvUnit& convolution : convolutions_) {
    if (results.size() == 1 || results.size() == 2) x = pool(x, engine::Pooling::max, {3, 3}, 2, {});
    x = convolution(x);
    results.push_back(x);
  }
  return results;
}

size_t Lpips::batch_bytes(int64_t count, int h, int w) const {
  const engine::DryRun dry(*device_);
  const auto features = [&] { return layers({*device_, {count, h, w, 3}, DType::f32}); };
  const std::vector<Tensor> one = features(), other = features();
  return dry.peak_bytes();
}

void Lpips::distances(const uint8_t* a, const uint8_t* b, int64_t pairs, int h, int w, double* d) const {
  if (h < kLeastSize || w < kLeastSize)
    fail(cat("LPIPS with AlexNet takes images of ", kLeastSize, " pixels at least, these have ", w, "x", h));
  if (pairs == 0) return;
  device_->reserve(batch_bytes(std::min<int64_t>(batch_, pairs), h, w));
  const int64_t image = int64_t(h) * w * 3;
  for (int64_t first = 0; first < pairs; first += batch_) {
    const int64_t count = std::min<int64_t>(batch_, pairs - first);
    const std::vector<Tensor> one = layers(input(a + first * image, count, h, w));
    const std::vector<Tensor> other = layers(input(b + first * image, count, h, w));
    std::fill(d + first, d + first + count, 0.0);
    for (size_t layer = 0; layer < one.size(); ++layer) {
      const std::vector<float> x = numbers_of(one[layer]), y = numbers_of(other[layer]),
                               &head = heads_[layer];
      const int64_t channels = int64_t(head.size()), pixels = one[layer].count() / channels / count;
      kernels::parallel_each(device_->cpu_stream(), count, [&](int64_t i) {
        double sum = 0;
        for (int64_t p = i * pixels; p < (i + 1) * pixels; ++p)
          sum += weighted_difference(x.data() + p * channels, y.data() + p * channels, head);
        d[first + i] += sum / double(pixels);
      });
    }
  }
}

}  // namespace ito::model
