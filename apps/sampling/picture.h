#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "apps/inputs/guidance.h"
#include "apps/inputs/samples.h"
#include "apps/sampling/starts.h"
#include "data/pictures/image.h"
#include "model/diffusion/sampler.h"

/// A request's pictures, from their noise to the bytes of their files: what ./sample writes, for any program that
/// draws.
namespace ito::apps {

/// How many images are drawn at a time, the least memory that this takes having been checked.
struct Chunk {
  int images = 0;
  size_t evaluation_bytes = 0;  // of an evaluation of so many, besides the weights
};
/// As many as --chunk has, or model::sample_chunk. Error, with what to do: there is less memory on the device.
Chunk chunk_of(const SampleRequest&, engine::Device&, const model::Denoiser&, const engine::Shape& image);

/// Draws pictures first .. first + count - 1 of `starts` (at most the sampler's chunk), prepared by the denoiser: f32
/// [count,H,W,C], as Sampler::numbers has it. hooks.noise is set here.
std::vector<float> draw_numbers(model::Sampler&, const model::Denoiser&, const Starts& starts, size_t first,
                                size_t count, model::SampleHooks hooks = {});

/// The stages whose denoised images show `states` states on the way: evenly spread, the last one left out, as its
/// result is the image. The plan has stages.
std::set<size_t> shown_stages(const model::SamplerPlan& plan, int states);

/// The pixels u8 [count,H,W,C] of a state's first images; it may be outside of [-1, 1], and not finite, which the
/// sampler reports itself.
std::vector<uint8_t> state_pixels(engine::Device&, const model::Tensor& denoised, size_t count,
                                  const engine::Shape& image);

/// The name of the run that a checkpoint belongs to; outside of a run, its own.
std::string run_name(const std::filesystem::path& checkpoint);

/// What is recorded of a request's pictures: run, step, and as facts the sampler's options, what is asked of the
/// model, the starts and a given chunk, in this order. Its seeds are empty.
SampleNote note_of(const SampleRequest&, const std::filesystem::path& checkpoint, const model::LoadedModel&,
                   const model::SamplerSettings&, const GuidedModel&, const Starts&);

/// "000005.png" of number 5.
std::string picture_name(uint64_t number);

/// Pixels u8 [H,W,3], image = [H,W,3], as a picture.
data::Image picture_of(const uint8_t* pixels, const engine::Shape& image);

/// The bytes of picture_name(number): a PNG with its texts.
std::vector<uint8_t> encode_picture(const uint8_t* pixels, const engine::Shape& image, const SampleNote& note,
                                    uint64_t number);

}  // namespace ito::apps
