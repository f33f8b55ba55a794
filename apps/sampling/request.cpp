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

void check_attribute_grid(const SampleRequest& f) {
  if (f.attribute_grid.empty()) return;
  attribute_columns(f.attribute_grid);
  const char* other = !f.noise.empty() ? "--noise" : !f.npy.empty() ? "--npy" : f.strip ? "--strip" : nullptr;
  if (other)
    fail(
        cat(other, " does nothing with --attr-grid, which draws one picture by its seeds; give one of them"));
}

}  // namespace ito::apps
