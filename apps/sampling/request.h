#pragma once

#include <optional>
#include <string>

#include "apps/inputs/guidance.h"
#include "model/diffusion/sampler_options.h"

/// What is asked of ./sample.
namespace ito::apps {

inline constexpr int kUsualCount = 64;

struct SampleRequest {
  model::SamplerOptions sampler = {};
  bool list_samplers = false;
  std::string run = {}, checkpoint = {};
  std::optional<int> count = {};
  std::string seeds = {};
  GuidanceRequest guidance = {};
  std::string attribute_grid = {};
  std::string noise = {}, npy = {};
  std::optional<int> strip = {};
  std::string out = {};
  DeviceRequest device = {};
};

template <FieldsOf<SampleRequest> Options, class Visit>
void fields(Options& o, Visit&& visit) {
  fields(o.sampler, visit);
  visit(o.list_samplers, Field("list_samplers", "print what each sampler is, and do nothing else"));
  visit(o.run, Field("run", "a training run's folder; its newest checkpoint is used")
                   .otherwise("the newest run below runs/; without any the model that comes with Ito"));
  visit(o.checkpoint, Field("checkpoint", "one checkpoint's folder"));
  visit(o.count, Field("count", "how many images, seeds 0 .. N-1", from(1).to(kMostSeeds))
                     .otherwise("64; with --noise as many as it has, with --attr-grid 4"));
  visit(o.seeds, Field("seeds", "which images instead: 5, 0-63 or 0-15,100"));
  fields(o.guidance, visit);
  visit(o.attribute_grid, Field("attr_grid",
                                "NAME,NAME: draws one labelled picture instead, with a column for each "
                                "combination of up to three attributes and a row for each seed"));
  visit(o.noise,
        Field("noise", "x.npy, float32 [N,C,H,W] of unit variance, in place of the seeds' first noise"));
  visit(o.npy, Field("npy", "writes the images before they are rounded to 8 bits, float32 [N,C,H,W]"));
  visit(o.strip, Field("strip", "writes strip.png: so many denoised states of some images on their way",
                       from(1).to(100)));
  visit(o.out, Field("out", "where grid.png, 000000.png ... and samples.json go")
                   .otherwise("the run's folder/images; without a run: samples"));
  fields(o.device, visit);
}

/// The seeds of the images. Error: both --count and --seeds; a number that is not that of the noise.
std::vector<uint64_t> chosen_seeds(const SampleRequest& f, std::optional<int64_t> noises);

/// Error: --attr-grid with something else than names, or with a flag that is about single images.
void check_attribute_grid(const SampleRequest& f);

}  // namespace ito::apps
