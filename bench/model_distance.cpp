#include "bench/model_distance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/dataset.h"
#include "data/pictures/contact_sheet.h"
#include "model/diffusion/sample_chunk.h"
#include "model/diffusion/sampler_options.h"
#include "model/metrics/pixel_features.h"

namespace ito::bench {

ModelDistance::ModelDistance(engine::Device& device, const Options& o)
    : device_(device),
      options_(o),
      loaded_(model::load_model(device, o.run)),
      height_(loaded_.options.network.height),
      width_(loaded_.options.network.width) {
  data::DatasetOptions options;
  options.height = height_, options.width = width_, options.cache_dir = o.cache, options.split = "all";
  if (loaded_.options.crop != "none") options.crop = loaded_.options.crop;
  const data::Dataset real = data::open_dataset(o.reference, options);
  real_ = statistics_of(real.pixels(), real.count());
  const size_t taken = std::min(size_t(o.count), real.count() / 2);
  const uint8_t* const rest = real.pixels() + taken * size_t(height_) * size_t(width_) * 3;
  floor_ = frechet_distance(statistics_of(real.pixels(), taken), statistics_of(rest, real.count() - taken));
}

model::FeatureStatistics ModelDistance::statistics_of(const uint8_t* pixels, size_t count) const {
  model::FeatureSums sums(model::kPixelFeatures);
  std::vector<float> features(model::kPixelFeatures);
  for (size_t i = 0; i < count; ++i) {
    model::pixel_features(pixels + i * size_t(height_) * size_t(width_) * 3, height_, width_,
                          features.data());
    sums.add({features.data(), 1, model::kPixelFeatures});
  }
  return sums.statistics();
}

std::vector<float> ModelDistance::draw(const model::SamplerPlan& plan, int count, double* evaluations) {
  const engine::Shape image{height_, width_, 3};
  const model::Denoiser denoiser = loaded_.varied_denoiser();
  model::Sampler sampler(device_, denoiser, plan, image, model::sample_chunk(device_, denoiser, image));
  std::vector<float> all;
  *evaluations = 0;
  for (int first = 0; first < count; first += sampler.chunk()) {
    std::vector<uint64_t> seeds(size_t(std::min(sampler.chunk(), count - first)));
    std::iota(seeds.begin(), seeds.end(), uint64_t(first));
    if (denoiser.prepare) denoiser.prepare(seeds);
    const std::vector<float> numbers = sampler.numbers(seeds);
    all.insert(all.end(), numbers.begin(), numbers.end());
    *evaluations += sampler.evaluations() * double(seeds.size());
  }
  *evaluations /= count;
  return all;
}

double ModelDistance::rms_to_exact(const model::SamplerPlan& plan, const std::vector<float>& numbers) {
  std::vector<float>& exact = exact_[plan.clip.text()];
  double ignored = 0;
  if (exact.empty()) {
    model::SamplerPlan best = model::make_sampler_plan(
        {.sampler = model::SamplerKind::rk45, .tolerance = 1e-6, .clip = plan.clip}, loaded_.sde);
    exact = draw(best, options_.exact, &ignored);
  }
  double squares = 0;
  for (size_t i = 0; i < exact.size(); ++i)
    squares += (double(exact[i]) - numbers[i]) * (double(exact[i]) - numbers[i]);
  return std::sqrt(squares / double(exact.size()));
}

Measured ModelDistance::of(const model::SamplerPlan& plan, bool with_rms) {
  Measured m;
  const std::vector<float> numbers = draw(plan, options_.count, &m.evaluations);
  const std::vector<uint8_t> pixels = model::quantised(numbers);
  const size_t kept = size_t(std::min(options_.shown, options_.count)) * size_t(height_) * size_t(width_) * 3;
  first_.insert(first_.end(), pixels.begin(), pixels.begin() + std::ptrdiff_t(kept));
  m.distance = frechet_distance(statistics_of(pixels.data(), size_t(options_.count)), real_);
  if (with_rms && options_.exact > 0 && plan.clip.kind != model::Clip::Kind::dynamic)
    m.rms = rms_to_exact(plan, numbers);
  return m;
}

data::Image ModelDistance::strip() const {
  const size_t images = first_.size() / (size_t(height_) * size_t(width_) * 3);
  return data::make_grid(first_.data(), images, height_, width_, int(images), 0);
}

}  // namespace ito::bench
