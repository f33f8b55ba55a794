#include "apps/inputs/samples.h"

#include <algorithm>

#include "apps/console/program.h"
#include "data/pictures/folder.h"
#include "engine/io/atomic_file.h"
#include "engine/io/json_text.h"
#include "kernels/base/commands.h"
#include "kernels/base/error.h"
#include "kernels/base/path_text.h"
#include "model/json_value.h"

namespace ito::apps {

namespace fs = std::filesystem;
using model::take;

namespace {

constexpr const char *kNote = "samples.json", *kGridNote = "attr-grid.json";

/// "0-63", "0-15,100", as --seeds takes them; if there are many stretches, only the first few.
std::string seeds_text(const std::vector<uint64_t>& seeds) {
  constexpr int kMost = 8;
  std::string text;
  int stretches = 0;
  for (size_t begin = 0, end = 0; begin < seeds.size(); begin = end) {
    if (++stretches > kMost) return cat(text, " and ", seeds.size() - begin, " more");
    for (end = begin + 1; end < seeds.size() && seeds[end] == seeds[end - 1] + 1;) ++end;
    text += cat(text.empty() ? "" : ",", seeds[begin]);
    if (end - begin > 1) text += cat("-", seeds[end - 1]);
  }
  return text;
}

/// "sampling": ["sampler heun", "steps 18", ...]; earlier versions wrote the sampler and its steps alone.
void read_sampling(const nlohmann::json& json, model::SamplerFacts& sampling) {
  if (!json.contains("sampling")) {
    std::string sampler;
    int steps = 0;
    take(json, "sampler", sampler), take(json, "sampler_steps", steps);
    sampling = {{"sampler", sampler}, {"steps", cat(steps)}};
    return;
  }
  std::vector<std::string> lines;
  take(json, "sampling", lines);
  for (const std::string& line : lines) {
    const size_t space = std::min(line.find(' '), line.size());
    sampling.emplace_back(line.substr(0, space), line.substr(std::min(space + 1, line.size())));
  }
}

/// All of a note except for its seeds.
nlohmann::json json_of(const SampleNote& note) {
  nlohmann::json sampling = nlohmann::json::array();
  for (const auto& [name, value] : note.sampling) sampling.push_back(cat(name, " ", value));
  return {{"run", note.run},   {"step", note.step},     {"sampling", sampling},
          {"crop", note.crop}, {"height", note.height}, {"width", note.width}};
}

}  // namespace

void write_sample_note(const fs::path& folder, const SampleNote& note) {
  nlohmann::json json = json_of(note);
  json["seeds"] = note.seeds;
  io::write_file_atomic(folder / kNote, io::json_text(json, 2) + "\n");
}

void write_grid_note(const fs::path& folder, const SampleNote& note, const std::vector<GridImage>& images) {
  nlohmann::json json = json_of(note);
  json["images"] = nlohmann::json::array();
  for (const GridImage& image : images)
    json["images"].push_back(
        {{"seed", image.seed}, {"asked", image.asked}, {"attributes", image.attributes}});
  io::write_file_atomic(folder / kGridNote, io::json_text(json, 2) + "\n");
}

bool same_sampling(const SampleNote& a, const SampleNote& b) {
  return as_utf8(a.run) == as_utf8(b.run) && a.step == b.step && a.sampling == b.sampling &&
         a.crop == b.crop && a.height == b.height && a.width == b.width;
}

data::PngTexts texts_of(const SampleNote& note, const std::vector<uint64_t>& seeds) {
  // Of variations and interpolations the seed is a fact of the sampling, and pictures have numbers.
  const bool numbered = std::any_of(note.sampling.begin(), note.sampling.end(), [](const auto& fact) {
    return fact.first == "variations" || fact.first == "interpolate";
  });
  const std::string what = numbered ? "number" : "seed";
  data::PngTexts texts = {{seeds.size() == 1 ? what : what + "s", seeds_text(seeds)},
                          {"run", note.run},
                          {"step", cat(note.step)}};
  texts.insert(texts.end(), note.sampling.begin(), note.sampling.end());
  texts.emplace_back("version", cat("Ito ", version_text()));
  return texts;
}

std::optional<SampleNote> read_sample_note(const fs::path& folder) {
  const fs::path file = folder / kNote;
  if (!fs::exists(file)) return {};
  try {
    const auto json = nlohmann::json::parse(io::read_file(file));
    SampleNote note;
    take(json, "run", note.run), take(json, "step", note.step);
    read_sampling(json, note.sampling);
    std::vector<uint64_t> seeds;
    take(json, "seeds", seeds);
    note.seeds.insert(seeds.begin(), seeds.end());
    take(json, "crop", note.crop), take(json, "height", note.height), take(json, "width", note.width);
    return note;
  } catch (const std::exception& e) {
    fail(cat(file.string(), " is not as ", commands::kSample, " writes it: ", e.what(),
             "; remove it or choose another folder"));
  }
}

void check_own_pictures(const fs::path& folder) {
  if (!fs::is_directory(folder) || read_sample_note(folder) || fs::exists(folder / kGridNote)) return;
  const data::FoundFiles found =
      data::find_in_folder(folder, [](const data::FoundFiles& so_far) { return !so_far.names.empty(); });
  if (!found.names.empty())
    fail(cat(folder.string(), " holds pictures that ", commands::kSample, " did not make, such as ",
             found.names[0],
             ": choose another --out, so that they are neither replaced nor mixed with samples"));
}

void check_same_pictures(const fs::path& folder, const std::string& crop, int height, int width) {
  const std::optional<SampleNote> there = read_sample_note(folder);
  if (!there || (there->crop == crop && there->height == height && there->width == width)) return;
  fail(cat(folder.string(), " holds samples of crop ", there->crop, " at ", there->height, "x", there->width,
           ", and these are of crop ", crop, " at ", height, "x", width, "; choose another --out"));
}

}  // namespace ito::apps
