#include "apps/sampling/request.h"

#include <numeric>

#include "apps/sampling/attribute_grid.h"

namespace ito::apps {

std::vector<uint64_t> chosen_seeds(const SampleRequest& f, std::optional<int64_t> noises) {
  constexpr int kRowsOfGrid = 4;
  if (f.count && !f.seeds.empty()) fail("--count and --seeds exclude each other; give one of them");
  std::vector<uint64_t> seeds;
  if (!f.seeds.empty()) {
    seeds = parse_seeds(f.seeds);
  } else {
    const int usual = f.attribute_grid.empty() ? kUsualCount : kRowsOfGrid;
    seeds.resize(f.count ? size_t(*f.count) : size_t(noises.value_or(usual)));
    std::iota(seeds.begin(), seeds.end(), uint64_t(0));
  }
  if (noises && int64_t(seeds.size()) != *noises)
    fail(cat("--noise has noise for ", *noises, " images, and ", seeds.size(),
             " are asked for: give as many, or neither --count nor --seeds"));
  return seeds;
}

std::pair<uint64_t, uint64_t> parse_faces(const std::string& text) {
  const std::vector<std::string> parts = split_list(text);
  if (parts.size() != 2) fail_value("--interpolate", "two seeds, such as 3,9", text);
  const auto seed = [](const std::string& part) {
    return parse_option<uint64_t>("each seed of --interpolate", part, kAnySeed);
  };
  return {seed(parts[0]), seed(parts[1])};
}

void check_starts(const SampleRequest& f) {
  if (f.spread && !f.variations)
    fail("--spread does nothing without --variations; add --variations 5, for example");
  if (!f.variations && f.interpolate.empty()) return;
  if (f.variations && !f.interpolate.empty())
    fail("--variations and --interpolate exclude each other; give one of them");
  const std::string flag = f.variations ? "--variations" : "--interpolate";
  const char* other = !f.seeds.empty()            ? "--seeds"
                      : !f.noise.empty()          ? "--noise"
                      : !f.attribute_grid.empty() ? "--attr-grid"
                                                  : nullptr;
  if (other)
    fail(cat(flag, " and ", other, " exclude each other: ", flag,
             " chooses the first noise of --count pictures; give one of them"));
  if (f.interpolate.empty()) return;
  parse_faces(f.interpolate);
  if (f.count && *f.count < 2) fail("--interpolate draws at least both of its faces: --count 2 or more");
}

void check_attribute_grid(const SampleRequest& f) {
  if (f.attribute_grid.empty()) return;
  attribute_columns(f.attribute_grid);
  const char* other = !f.noise.empty()            ? "--noise"
                      : !f.npy.empty()            ? "--npy"
                      : f.strip                   ? "--strip"
                      : f.chunk                   ? "--chunk"
                      : f.preview.value_or(false) ? "--preview"
                                                  : nullptr;
  if (other)
    fail(
        cat(other, " does nothing with --attr-grid, which draws one picture by its seeds; give one of them"));
}

}  // namespace ito::apps
