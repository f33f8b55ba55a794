#include "apps/app_samples.h"

#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "kernels/error.h"

namespace ito::apps {

namespace fs = std::filesystem;

namespace {

constexpr const char* kNote = "samples.json";

}  // namespace

void write_sample_note(const fs::path& folder, const SampleNote& note) {
  const nlohmann::json json = {{"run", note.run},         {"step", note.step},
                               {"sampler", note.sampler}, {"sampler_steps", note.sampler_steps},
                               {"seeds", note.seeds},     {"crop", note.crop},
                               {"height", note.height},   {"width", note.width}};
  io::write_file_atomic(folder / kNote, json.dump(2) + "\n");
}

std::optional<SampleNote> read_sample_note(const fs::path& folder) {
  const fs::path file = folder / kNote;
  if (!fs::exists(file)) return {};
  try {
    const auto json = nlohmann::json::parse(io::read_file(file));
    SampleNote note;
    note.run = json.at("run"), note.step = json.at("step");
    note.sampler = json.at("sampler"), note.sampler_steps = json.at("sampler_steps");
    note.seeds = json.at("seeds").get<std::vector<uint64_t>>();
    note.crop = json.at("crop"), note.height = json.at("height"), note.width = json.at("width");
    return note;
  } catch (const nlohmann::json::exception& e) {
    fail(cat(file.string(), " is not as ./sample writes it: ", e.what(),
             "; remove it or choose another folder"));
  }
}

void check_same_pictures(const fs::path& folder, const std::string& crop, int height, int width) {
  const std::optional<SampleNote> there = read_sample_note(folder);
  if (!there || (there->crop == crop && there->height == height && there->width == width)) return;
  fail(cat(folder.string(), " holds samples of crop ", there->crop, " at ", there->height, "x", there->width,
           ", and these are of crop ", crop, " at ", height, "x", width, "; choose another --out"));
}

}  // namespace ito::apps
