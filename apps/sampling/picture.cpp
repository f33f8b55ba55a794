#include "apps/sampling/picture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "model/diffusion/sample_chunk.h"

namespace ito::apps {

Chunk chunk_of(const SampleRequest& f, engine::Device& device, const model::Denoiser& denoiser,
               const engine::Shape& image) {
  const int images = f.chunk ? *f.chunk : model::sample_chunk(device, denoiser, image);
  return {images, model::checked_evaluation_bytes(device, denoiser, image, images)};
}

std::vector<float> draw_numbers(model::Sampler& sampler, const model::Denoiser& denoiser,
                                const Starts& starts, size_t first, size_t count, model::SampleHooks hooks) {
  const auto begin = starts.seeds().begin() + std::ptrdiff_t(first);
  const std::vector<uint64_t> seeds(begin, begin + std::ptrdiff_t(count));
  const std::vector<float> noise = starts.noise(first, count);
  hooks.noise = noise.empty() ? nullptr : noise.data();
  if (denoiser.prepare) denoiser.prepare(seeds);
  return sampler.numbers(seeds, hooks);
}

std::set<size_t> shown_stages(const model::SamplerPlan& plan, int states) {
  std::vector<size_t> steps;
  for (size_t i = 0; i < plan.stages.size(); ++i)
    if (!plan.stages[i].corrects) steps.push_back(i);
  std::set<size_t> shown;
  for (int k = 0; k < states; ++k) shown.insert(steps[size_t(k) * (steps.size() - 1) / size_t(states)]);
  return shown;
}

std::vector<uint8_t> state_pixels(engine::Device& device, const model::Tensor& denoised, size_t count,
                                  const engine::Shape& image) {
  std::vector<float> numbers(count * size_t(image.count()));
  device.download(numbers.data(), denoised.data(), numbers.size() * sizeof(float));
  for (float& x : numbers) x = std::isfinite(x) ? x : 0;
  return model::quantised(numbers);
}

std::string run_name(const std::filesystem::path& checkpoint) {
  std::filesystem::path folder = std::filesystem::absolute(checkpoint).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();  // "step-00001000/" has an empty one
  const bool in_run = folder.parent_path().filename() == "checkpoints";
  return (in_run ? folder.parent_path().parent_path() : folder).filename().string();
}

SampleNote note_of(const SampleRequest& f, const std::filesystem::path& checkpoint,
                   const model::LoadedModel& loaded, const model::SamplerSettings& sampler,
                   const GuidedModel& guided, const Starts& starts) {
  const model::TrainingOptions& o = loaded.options;
  SampleNote note;
  note.run = run_name(checkpoint);
  note.step = loaded.step;
  note.sampling = model::facts_of(sampler);
  for (const model::SamplerFacts& facts : {guided.facts(), starts.facts()})
    note.sampling.insert(note.sampling.end(), facts.begin(), facts.end());
  if (f.chunk) note.sampling.emplace_back("chunk", cat(*f.chunk));
  note.crop = o.crop, note.height = o.network.height, note.width = o.network.width;
  return note;
}

std::string picture_name(uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%06llu.png", static_cast<unsigned long long>(number));
  return name;
}

data::Image picture_of(const uint8_t* pixels, const engine::Shape& image) {
  data::Image picture{int(image[1]), int(image[0])};
  std::copy_n(pixels, picture.rgb.size(), picture.rgb.begin());
  return picture;
}

std::vector<uint8_t> encode_picture(const uint8_t* pixels, const engine::Shape& image, const SampleNote& note,
                                    uint64_t number) {
  return data::encode_png(picture_of(pixels, image), texts_of(note, {number}));
}

}  // namespace ito::apps
