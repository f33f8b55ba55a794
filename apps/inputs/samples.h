#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/pictures/png_text.h"
#include "model/diffusion/sampler_options.h"

namespace ito::apps {

/// What the samples.json in a folder of samples describes: where its pictures come from and what they show.
struct SampleNote {
  std::string run;  // the run folder's own name; or that of a checkpoint outside a run
  int64_t step = 0;
  model::SamplerFacts sampling;  // options of the sampler and their values, the sampler first
  std::set<uint64_t>
      seeds;  // 000005.png is that of seed (or, near or between faces, number) 5; all of a sampling
  std::string crop;
  int height = 0, width = 0;
};

void write_sample_note(const std::filesystem::path& folder, const SampleNote& note);

/// One image of an attribute grid: its seed, what was asked for ("Smiling=1"), and all attributes that it was drawn
/// under (1, -1, or 0 for unknown).
struct GridImage {
  uint64_t seed = 0;
  std::vector<std::string> asked;
  std::map<std::string, int> attributes;
};

/// Writes attr-grid.json next to attr-grid.png: the note's run, step and sampling, and the images row by row.
void write_grid_note(const std::filesystem::path& folder, const SampleNote& note,
                     const std::vector<GridImage>& images);

/// Whether two notes are of the same run, step, sampler and kind of pictures, so that their images belong together.
bool same_sampling(const SampleNote&, const SampleNote&);

/// The texts of a PNG of these seeds (one picture's, or a grid's): the seeds (or numbers), run, step, the sampler with
/// its options, and this program's version.
data::PngTexts texts_of(const SampleNote& note, const std::vector<uint64_t>& seeds);

/// The note in a folder; nothing if it has no samples.json. Error: that file is not such a note.
std::optional<SampleNote> read_sample_note(const std::filesystem::path& folder);

/// Error, naming one, if the folder holds pictures but no samples.json: these are the user's, and 000000.png may be
/// among them.
void check_own_pictures(const std::filesystem::path& folder);

/// Error, with both names, if the folder holds samples of another crop or size: they are not to be mixed or
/// compared.
void check_same_pictures(const std::filesystem::path& folder, const std::string& crop, int height, int width);

}  // namespace ito::apps
