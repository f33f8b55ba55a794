#include <doctest/doctest.h>

#include <algorithm>

#include "bench/face_rules.h"
#include "data/faces/drawn_faces.h"
#include "helpers.h"

/// The rules that decide from pixels what a drawn face shows.
namespace ito::bench {
namespace {

using namespace tests;

data::Dataset drawn(const TempFolder& folder, const char* name, uint64_t count, uint64_t seed, int side) {
  data::FaceSetOptions set;
  set.count = count, set.seed = seed;
  data::write_face_set(folder / name, set);
  data::DatasetOptions options;
  options.height = options.width = side;
  options.cache_dir = folder / "cache", options.split = "all", options.crop = "ddim128";
  return data::open_dataset(folder / name, options);
}

TEST_CASE("rules fitted on a few drawn faces hold on others; they say what they cannot be fitted on") {
  const TempFolder folder;
  const data::Dataset faces = drawn(folder, "faces", 500, 1, kRuleSide),
                      others = drawn(folder, "others", 200, 2, kRuleSide);
  std::vector<std::string> names;
  for (const RuledAttribute& attribute : ruled_attributes()) names.push_back(attribute.name);
  CHECK(std::is_sorted(names.begin(), names.end()));
  for (const RuledAttribute& attribute : ruled_attributes()) {
    const std::string name = attribute.name;
    if (name != "Blond_Hair" && name != "Eyeglasses" && name != "Male") continue;
    CAPTURE(name);
    const FaceRule rule(attribute, faces);
    for (const int value : {1, -1}) {
      CHECK(rule.recall(faces, value) > 0.99);
      CHECK(rule.recall(others, value) > 0.9);
    }
  }
  CHECK(contains(error_of([&] {
                   FaceRule({"Attractive", {0, 32, 0, 32}, 2}, faces);
                 }),
                 "has Attractive = 1"));  // no drawn face has it
  CHECK(contains(error_of([&] { FaceRule(ruled_attributes()[0], drawn(folder, "small", 8, 3, 16)); }),
                 "rules are for faces of 32x32 and crop ddim128, not 16x16"));
}

}  // namespace
}  // namespace ito::bench
