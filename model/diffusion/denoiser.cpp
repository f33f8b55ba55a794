#include "model/diffusion/denoiser.h"

#include "engine/device.h"
#include "kernels/pointwise.h"

namespace ito::model {

namespace {

/// Writes the conditions of a chunk's images; the rest of the rows repeats the last, as the rest of a chunk its seed.
void upload_rows(engine::Device& device, std::vector<float> conditions, size_t images, int64_t k,
                 const Tensor& rows) {
  if (images < 1 || images > size_t(kMostConditions))
    fail(cat("a chunk under conditions has 1 to ", kMostConditions, " images, not ", images));
  if (conditions.size() != images * size_t(k))
    fail(cat("the model's condition has ", k, " numbers, ", conditions.size(), " are given for ", images,
             " images"));
  const std::vector<float> last(conditions.end() - k, conditions.end());
  while (conditions.size() < size_t(rows.count()))
    conditions.insert(conditions.end(), last.begin(), last.end());
  device.upload(rows.data(), conditions.data(), rows.bytes());
}

/// [2N,K] of rows [N,K], twice one after the other.
Tensor twice(const Tensor& rows) {
  const int64_t n = rows.shape()[0], k = rows.shape()[1];
  Tensor both(rows.device(), {2 * n, k}, rows.dtype());
  rows.device().launch([&](auto& s) {
    for (const int64_t first : {int64_t(0), n * k})
      kernels::add_scaled(s, n * k, 1, rows.in(), 0, {}, both.slice(first, {n, k}).out());
  });
  return both;
}

}  // namespace

Denoiser network_denoiser(const Network& network, const DenoiserOptions& options) {
  Denoiser denoiser;
  denoiser.scaling = [p = options.preconditioning](const NoiseLevel& level) { return p.at(level); };
  denoiser.network = [&network](const Tensor& input, const Tensor& c_noise) {
    return network({input, c_noise, {}, {}, {}});  // [M,H,W,C]
  };
  denoiser.compute = options.compute;
  return denoiser;
}

Denoiser guided_denoiser(engine::Device& device, const Network& network, const DenoiserOptions& options,
                         const ConditionsOf& conditions, const Guidance& guidance) {
  const int64_t k = network.config().condition_width();
  if (k == 0) fail("this model was trained without a condition: it cannot be guided by one");
  const Tensor rows = Tensor::persistent(device, {kMostConditions, k}, engine::DType::f32);
  Denoiser denoiser = network_denoiser(network, options);
  denoiser.doubled = guidance.weight != 1;
  denoiser.guidance = guidance;
  denoiser.prepare = [&device, conditions, rows, k](const std::vector<uint64_t>& seeds) {
    upload_rows(device, conditions(seeds), seeds.size(), k, rows);
  };
  denoiser.network = [&network, rows, k, doubled = denoiser.doubled](const Tensor& input,
                                                                     const Tensor& c_noise) {
    const int64_t m = input.shape()[0], shown = doubled ? m / 2 : m;
    if (shown > kMostConditions)
      fail(cat("a chunk under conditions has at most ", kMostConditions, " images, not ", shown));
    const Tensor given = rows.slice(0, {shown, k});  // [N,K]
    Tensor keep(input.device(), {m},
                engine::DType::f32);  // [M]: 1 for the images that are shown their condition
    input.device().launch([&](auto& s) {
      kernels::fill(s, shown, 1, keep.out());
      if (doubled) kernels::fill(s, m - shown, 0, keep.slice(shown, {m - shown}).out());
    });
    return network({input, c_noise, doubled ? twice(given) : given, keep, {}});  // [M,H,W,C]
  };
  return denoiser;
}

Denoiser autoguided(Denoiser denoiser, Denoiser guide, const Guidance& guidance) {
  if (denoiser.guided() || guide.guided())
    fail("a denoiser that is guided already is neither guided nor a guide");
  if (denoiser.compute != guide.compute)
    fail(cat("a guide computes in the type of what it guides, ", name_of(denoiser.compute), ", not ",
             name_of(guide.compute)));
  if (guidance.weight == 1) return denoiser;
  denoiser.guidance = guidance;
  denoiser.prepare = [first = denoiser.prepare, second = guide.prepare](const std::vector<uint64_t>& seeds) {
    if (first) first(seeds);
    if (second) second(seeds);
  };
  denoiser.guide = std::make_shared<const Denoiser>(std::move(guide));
  return denoiser;
}

}  // namespace ito::model
