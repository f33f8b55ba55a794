#include "bench/denoiser_loss.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/philox.h"
#include "model/diffusion/sample_chunk.h"

namespace ito::bench {

using engine::DType;
using engine::Tensor;

namespace {

constexpr uint64_t kSeed = 0;
constexpr double kSigmaData = 0.5;

double sigma_of(int level) {
  const double share = double(level) / (kLossLevels - 1);
  return kLeastLossSigma * std::pow(kMostLossSigma / kLeastLossSigma, share);
}

/// Images at one noise level, in chunks of one size: the last is filled up with images that do not count.
class Level {
 public:
  Level(engine::Device& device, const model::Denoiser& denoiser, const model::NoiseLevel& at, int number)
      : device_(device), denoiser_(denoiser), at_(at), scaling_(denoiser.scaling(at)), number_(number) {}

  /// The sum of (D - x_0)^2 over images first .. first + n - 1 and their pixels.
  double squares(const uint8_t* pixels, size_t first, int64_t n, int64_t chunk, const engine::Shape& image) {
    const int64_t each = image.count();
    std::vector<float> input(size_t(chunk * each));
    std::vector<double> clean(input.size()), noisy(input.size());
    for (int64_t i = 0; i < n; ++i) {
      const RandomKey key{kSeed, Purpose::validation, uint32_t(number_), uint32_t(first) + uint32_t(i)};
      float z[4] = {};
      for (int64_t e = 0; e < each; ++e) {
        const auto at = size_t(i * each + e);
        if (e % 4 == 0) normal_block(key, uint32_t(e / 4), z);
        clean[at] = pixels[first * size_t(each) + at] / 127.5 - 1;
        noisy[at] = clean[at] + at_.sigma * double(z[e % 4]);
        input[at] = float(scaling_.c_in * noisy[at]);
      }
    }
    const std::vector<double> f = network(input, {chunk, image[0], image[1], image[2]});
    double sum = 0;
    for (size_t at = 0; at < size_t(n * each); ++at)
      sum += std::pow(scaling_.c_skip * noisy[at] + scaling_.c_out * f[at] - clean[at], 2);
    return sum;
  }

 private:
  std::vector<double> network(const std::vector<float>& input, const engine::Shape& shape) {
    const std::vector<float> c_noise(size_t(shape[0]), float(scaling_.c_noise));
    const Tensor x = Tensor::from(device_, shape, denoiser_.compute, input.data());
    const Tensor c = Tensor::from(device_, {shape[0]}, DType::f32, c_noise.data());
    return denoiser_.network(x, c).to_doubles();
  }

  engine::Device& device_;
  const model::Denoiser& denoiser_;
  model::NoiseLevel at_;
  model::Scaling scaling_;
  int number_;
};

/// Makes room for an evaluation of the network.
void reserve(engine::Device& device, const model::Denoiser& denoiser, const engine::Shape& shape) {
  size_t bytes = 0;
  {
    const engine::DryRun dry(device);
    const Tensor x(device, shape, denoiser.compute), c(device, {shape[0]}, DType::f32);
    const Tensor f = denoiser.network(x, c);
    bytes = dry.peak_bytes();
  }
  device.reserve(bytes);
}

}  // namespace

std::vector<LevelLoss> denoiser_losses(engine::Device& device, const model::Denoiser& denoiser,
                                       const model::Sde& sde, const uint8_t* pixels, size_t count,
                                       const engine::Shape& image) {
  const engine::NoGrad off(device);
  const int64_t chunk = model::sample_chunk(device, denoiser, image);
  reserve(device, denoiser, {chunk, image[0], image[1], image[2]});
  std::vector<LevelLoss> losses;
  for (int number = 0; number < kLossLevels; ++number) {
    const double sigma = sigma_of(number);
    Level level(device, denoiser, sde.at_sigma(sigma), number);
    double sum = 0;
    for (size_t first = 0; first < count; first += size_t(chunk))
      sum += level.squares(pixels, first, std::min<int64_t>(chunk, int64_t(count - first)), chunk, image);
    const double d = kSigmaData, weight = (sigma * sigma + d * d) / (sigma * sigma * d * d);
    losses.push_back({sigma, weight * sum / double(count) / double(image.count())});
  }
  return losses;
}

double mean_loss(const std::vector<LevelLoss>& losses) {
  double sum = 0;
  for (const LevelLoss& level : losses) sum += level.loss;
  return sum / double(losses.size());
}

}  // namespace ito::bench
