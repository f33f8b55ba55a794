#include "bench/sampling_speed.h"

#include "kernels/base/clock.h"
#include "model/diffusion/sample_chunk.h"
#include "model/diffusion/sampler.h"

namespace ito::bench {

using engine::Device;
using engine::Tensor;
using model::SamplerKind;
using nlohmann::json;

namespace {

/// The network alone, evaluated as a sampler does it.
class Evaluations {
 public:
  Evaluations(Device& device, const model::Denoiser& denoiser, const engine::Shape& image, int chunk)
      : device_(device),
        input_(Tensor::persistent(device, {chunk, image[0], image[1], image[2]}, denoiser.compute)),
        c_noise_(Tensor::persistent(device, {chunk}, engine::DType::f32)),
        step_(device, [this, network = denoiser.network] { network(input_, c_noise_); }) {}
  double seconds(int count) {
    engine::NoGrad off(device_);
    const double before = now();
    for (int i = 0; i < count; ++i) step_.run();
    device_.synchronize();
    return now() - before;
  }

 private:
  Device& device_;
  Tensor input_, c_noise_;
  engine::CapturedStep step_;
};

double seconds_of(Device& device, model::Sampler& sampler) {
  const double before = now();
  sampler.run({0});
  device.synchronize();
  return now() - before;
}

}  // namespace

std::vector<double> SamplingSpeed::evaluations_alone(int batch) const {
  Evaluations alone(device, denoiser, image, batch);
  alone.seconds(2);
  std::vector<double> seconds;
  for (int i = 0; i < repeats; ++i) seconds.push_back(alone.seconds(1));
  return seconds;
}

json SamplingSpeed::rows(const std::vector<SamplerKind>& kinds, int evaluations) const {
  const int chunk = model::sample_chunk(device, denoiser, image);
  const auto sampler_of = [&](SamplerKind kind) {
    model::SamplerOptions o{.sampler = kind};
    if (model::info_of(kind).steps > 0) o.evaluations = evaluations;
    const auto plan = model::make_sampler_plan(model::settle(o, model::Prediction::edm), sde);
    return std::make_unique<model::Sampler>(device, denoiser, plan, image, chunk);
  };
  const std::unique_ptr<model::Sampler> heun = sampler_of(SamplerKind::heun);
  Evaluations alone(device, denoiser, image, chunk);
  json result = json::array();
  for (const SamplerKind kind : kinds) {
    const std::unique_ptr<model::Sampler> sampler = sampler_of(kind);
    std::vector<double> whole, networks, outside, to_heun;
    for (int i = -1; i < repeats; ++i) {  // the first time is not counted: plans are chosen, steps captured
      const double seconds = seconds_of(device, *sampler), count = sampler->evaluations();
      const double network = alone.seconds(int(count)) / int(count), by_heun = seconds_of(device, *heun);
      if (i < 0) continue;
      whole.push_back(seconds), networks.push_back(network);
      outside.push_back(1 - network * count / seconds);
      to_heun.push_back(seconds / count / (by_heun / heun->evaluations()));
    }
    const double seconds = timing_of(whole).seconds;
    result.push_back({{"sampler", name_of(kind)},
                      {"evaluations", sampler->evaluations()},
                      {"images_per_second", chunk / seconds},
                      {"evaluations_per_second", chunk * sampler->evaluations() / seconds},
                      {"network_evaluations_per_second", chunk / timing_of(networks).seconds},
                      {"share_outside_the_network", timing_of(outside).seconds},
                      {"seconds_of_an_evaluation_to_heun", timing_of(to_heun).seconds}});
  }
  return result;
}

}  // namespace ito::bench
