#include "model/diffusion/sampler_batch.h"

#include <algorithm>

#include "kernels/pointwise.h"

namespace ito::model {

using engine::DType;
using kernels::SdeStep;

SamplerBatch::SamplerBatch(engine::Device& device, const Denoiser& denoiser, const Clip& clip,
                           const engine::Shape& image, int chunk)
    : device(device), denoiser(denoiser), clip(clip), image(image), chunk(chunk) {
  const engine::Shape shape{chunk, image[0], image[1], image[2]};
  const auto batch = [&](int64_t n) {
    return Tensor::persistent(device, {n, image[0], image[1], image[2]}, denoiser.compute);
  };
  const int64_t asked = denoiser.doubled ? 2 * chunk : chunk;
  for (Tensor& state : states) state = Tensor::persistent(device, shape, DType::f32);
  input = batch(asked), c_noise = Tensor::persistent(device, {asked}, DType::f32);
  if (denoiser.doubled)
    guide_input = input.slice(states[0].count(), shape), guide_c_noise = c_noise.slice(chunk, {chunk});
  if (denoiser.guide)
    guide_input = batch(chunk), guide_c_noise = Tensor::persistent(device, {chunk}, DType::f32);
  if (clip.kind != Clip::Kind::none) {
    limit = Tensor::persistent(device, {chunk}, DType::f32);
    device.launch([&](auto& s) { kernels::fill(s, chunk, 1, limit.out()); });
  }
  seeds = engine::Buffer<uint64_t>(device, size_t(chunk));
  current = engine::Buffer<SdeStep>(device, 1);
}

void SamplerBatch::begin(const std::vector<uint64_t>& of, const float* given, double prior_sigma,
                         const NoiseLevel& first, double more) {
  if (of.empty() || of.size() > size_t(chunk))
    fail(cat("a chunk takes 1 to ", chunk, " seeds, not ", of.size()));
  std::vector<uint64_t> all(size_t(chunk), of.back());
  std::copy(of.begin(), of.end(), all.begin());
  seeds.write(all.data(), all.size());
  kernels::SdeUpdateOperands o{};
  o.seeds = seeds.data();
  o.x_out = states[0].out();
  ask_next(o);
  SdeStep step;
  ask_level(first, step);
  step.a = 0, step.c = float(prior_sigma);
  if (given) {
    const size_t each = size_t(image.count());
    std::vector<float> rows(given, given + of.size() * each);
    while (rows.size() < size_t(chunk) * each)
      rows.insert(rows.end(), given + (of.size() - 1) * each, given + of.size() * each);
    device.upload(states[0].data(), rows.data(), rows.size() * sizeof(float));
    o.start = states[0].in();
    std::swap(step.a, step.c);
  }
  current.write(&step, 1);
  update(o, 0, Purpose::prior);
  if (more == 0) return;
  o.start = states[0].in();
  step.a = 1, step.c = float(more);
  current.write(&step, 1);
  update(o, 0, Purpose::sampler_noise);
}

Evaluation SamplerBatch::evaluate() const {
  Evaluation e{denoiser.network(input, c_noise), {}};
  if (denoiser.guide) e.guide_f = denoiser.guide->network(guide_input, guide_c_noise);
  if (denoiser.doubled) e.guide_f = e.f.slice(guide_input.count(), guide_input.shape());
  return e;
}

void SamplerBatch::update(const kernels::SdeUpdateOperands& operands, int history, Purpose purpose) {
  const kernels::SdeUpdateDims dims{chunk, int(image.count()), history, purpose};
  device.launch([&](auto& s) { kernels::sde_update(s, dims, current.data(), operands); });
}

}  // namespace ito::model
