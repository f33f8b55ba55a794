#include "model/diffusion/sampler.h"

#include <algorithm>
#include <cmath>

namespace ito::model {

namespace {

using kernels::Purpose;
using kernels::SdeCoefficients;

/// x' = a x + sum b f + c z for all images of a chunk.
Tensor update(const Tensor& x, const Update& u, const std::vector<Tensor>& denoised, Purpose purpose,
              size_t stage, const std::vector<uint64_t>& seeds) {
  Tensor next = like(x);
  const int n = int(x.shape()[0]);
  const kernels::SdeUpdateDims dims{n, int(x.count() / n), u.terms(), purpose, uint32_t(stage)};
  kernels::In f[kernels::kMaxSdeTerms] = {};
  for (int k = 0; k < dims.terms; ++k) f[k] = denoised.at(size_t(k)).in();
  x.device().launch([&](auto& s) {
    kernels::sde_update(s, dims, u.coefficients(), x.in(), f, seeds.data(), next.out(), {});
  });
  return next;
}

Update noise_only(double keep, double noise) {
  Update u;
  u.a = keep;
  u.c = noise;
  return u;
}

Tensor prior(engine::Device& device, double sigma, const engine::Shape& shape,
             const std::vector<uint64_t>& seeds) {
  const std::vector<float> zeros(size_t(shape.count()), 0.0f);
  return update(Tensor::from(device, shape, engine::DType::f32, zeros.data()), noise_only(0, sigma), {},
                Purpose::prior, 0, seeds);
}

uint8_t quantised(float x) {
  if (!std::isfinite(x)) fail("the model produced a number that is not finite: use an earlier checkpoint");
  return uint8_t(std::clamp(std::floor(127.5f * x + 128.0f), 0.0f, 255.0f));
}

}  // namespace

Tensor sample_chunk(engine::Device& device, const Denoiser& denoiser, const SamplerPlan& plan,
                    const engine::Shape& image, const std::vector<uint64_t>& seeds,
                    const std::function<void()>& after_stage) {
  engine::NoGrad off(device);
  Tensor x = prior(device, plan.prior_sigma, {int64_t(seeds.size()), image[0], image[1], image[2]},
                   seeds);  // [N,H,W,C]
  Tensor start;
  std::vector<Tensor> denoised;  // newest first
  for (size_t i = 0; i < plan.stages.size(); ++i) {
    const Stage& stage = plan.stages[i];
    if (stage.noise_before != 0)
      x = update(x, noise_only(1, stage.noise_before), {}, Purpose::sampler_noise, i, seeds);
    if (!stage.from_start) start = x;
    denoised.insert(denoised.begin(), denoiser(x, stage.level));
    if (denoised.size() > size_t(kernels::kMaxSdeTerms)) denoised.pop_back();
    x = update(start, stage.update, denoised, Purpose::sampler_noise, i, seeds);
    if (after_stage) after_stage();
  }
  return x;
}

std::vector<uint8_t> sample_images(engine::Device& device, const Denoiser& denoiser, const SamplerPlan& plan,
                                   const engine::Shape& image, const std::vector<uint64_t>& seeds,
                                   const SampleProgress& progress) {
  const size_t count = seeds.size(), per_image = size_t(image.count());
  const int64_t chunks = int64_t((count + kSampleChunk - 1) / kSampleChunk);
  std::vector<uint8_t> pixels(count * per_image);
  int64_t done = 0;
  for (size_t first = 0; first < count; first += kSampleChunk) {
    std::vector<uint64_t> chunk(kSampleChunk);
    for (size_t i = 0; i < chunk.size(); ++i) chunk[i] = seeds[std::min(first + i, count - 1)];
    const Tensor x = sample_chunk(device, denoiser, plan, image, chunk, [&] {
      if (progress) progress(++done, chunks * int64_t(plan.stages.size()));
    });
    const size_t filled = std::min(size_t(kSampleChunk), count - first) * per_image;
    std::transform(static_cast<const float*>(x.data()), static_cast<const float*>(x.data()) + filled,
                   pixels.begin() + std::ptrdiff_t(first * per_image), quantised);
  }
  return pixels;
}

}  // namespace ito::model
