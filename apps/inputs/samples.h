#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/pictures/png_text.h"

namespace ito::apps {

/// What a folder of samples says about itself, in its samples.json: where its pictures come from and what
/// they show.
struct SampleNote {
  std::string run;  // the run folder's own name; that of a checkpoint that lies elsewhere
  int64_t step = 0;
  std::string sampler;
  int sampler_steps = 0;
  std::set<uint64_t> seeds;  // 000005.png is seed 5's; those of one sampling, whichever call drew them
  std::string crop;
  int height = 0, width = 0;
};

void write_sample_note(const std::filesystem::path& folder, const SampleNote& note);

/// The same run, step, sampler and pictures, whether a note was read back or not: their seeds' images belong together.
bool same_sampling(const SampleNote&, const SampleNote&);

/// What a PNG of these seeds (one picture's, or a grid's) says about itself: they, run, step, sampler, its steps
/// and this program's version.
data::PngTexts texts_of(const SampleNote& note, const std::vector<uint64_t>& seeds);

/// Nothing where the folder has no samples.json. Error: it is not one.
std::optional<SampleNote> read_sample_note(const std::filesystem::path& folder);

/// Error, naming one, if the folder holds pictures and no samples.json: they are somebody's, and 000000.png may
/// be among them.
void check_own_pictures(const std::filesystem::path& folder);

/// Error, with both names, if the folder holds samples of another crop or size: they are not to be mixed or
/// compared.
void check_same_pictures(const std::filesystem::path& folder, const std::string& crop, int height, int width);

}  // namespace ito::apps
