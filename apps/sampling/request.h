#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/inputs/guidance.h"
#include "model/diffusion/denoiser.h"
#include "model/diffusion/sampler_options.h"

/// What is asked of ./sample.
namespace ito::apps {

inline constexpr int kUsualCount = 64;
inline constexpr int kUsualPictures = 8;     // of an interpolation
inline constexpr double kUsualSpread = 0.3;  // of variations

struct SampleRequest {
  model::SamplerOptions sampler = {};
  bool list_samplers = false;
  std::string run = {}, checkpoint = {};
  std::optional<int> count = {};
  std::string seeds = {};
  GuidanceRequest guidance = {};
  std::string attribute_grid = {};
  std::string noise = {};
  std::optional<uint64_t> variations = {};
  std::optional<double> spread = {};
  std::string interpolate = {};
  std::optional<int> chunk = {};
  std::string npy = {};
  std::optional<int> strip = {};
  std::optional<bool> preview = {};
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
  visit(o.count,
        Field("count", "how many images, seeds 0 .. N-1", from(1).to(kMostSeeds))
            .otherwise("64; with --noise as many as it has, with --attr-grid 4, with --interpolate 8"));
  visit(o.seeds, Field("seeds", "which images instead: 5, 0-63 or 0-15,100"));
  fields(o.guidance, visit);
  visit(o.attribute_grid, Field("attr_grid",
                                "NAME,NAME: draws one labelled picture instead, with a column for each "
                                "combination of up to three attributes and a row for each seed"));
  visit(o.noise,
        Field("noise", "x.npy, float32 [N,C,H,W] of unit variance, in place of the seeds' first noise"));
  visit(
      o.variations,
      Field("variations", "SEED: --count pictures near the face of that seed, which is number 0", kAnySeed));
  visit(o.spread, Field("spread", "of --variations: 0 is the face itself, 1 any other face", from(0).to(1))
                      .otherwise("0.3"));
  visit(o.interpolate, Field("interpolate",
                             "A,B: --count pictures on the way from the face of seed A to that of seed B; "
                             "all but their first noise is A's"));
  visit(o.chunk, Field("chunk", "how many images are drawn at a time; their last bits may depend on it",
                       from(1).to(model::kMostConditions))
                     .otherwise("8 on a CPU and 64 on a GPU, or fewer for large networks"));
  visit(o.npy, Field("npy", "writes the images before they are rounded to 8 bits, float32 [N,C,H,W]"));
  visit(o.strip, Field("strip", "writes strip.png: so many denoised states of some images on their way",
                       from(1).to(100)));
  visit(o.preview,
        Field("preview", "prints the images in the terminal, as large as it allows (--no-preview: never)")
            .otherwise("where standard output is a terminal with colours"));
  visit(o.out, Field("out", "where grid.png, 000000.png ... and samples.json go")
                   .otherwise("the run's folder/images; without a run: samples"));
  fields(o.device, visit);
}

/// The seeds of the images. Error: both --count and --seeds; a number that is not that of the noise.
std::vector<uint64_t> chosen_seeds(const SampleRequest& f, std::optional<int64_t> noises);

/// "3,9": two seeds. Error: anything else.
std::pair<uint64_t, uint64_t> parse_faces(const std::string& text);

/// Error: --variations, --interpolate or --spread with a flag that excludes it, or that it needs; an interpolation of
/// one picture.
void check_starts(const SampleRequest& f);

/// Error: --attr-grid with something else than names, or with a flag that is about single images.
void check_attribute_grid(const SampleRequest& f);

}  // namespace ito::apps
