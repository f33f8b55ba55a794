#include <doctest/doctest.h>

#include <algorithm>

#include "bench/drawn_features.h"
#include "data/faces/drawn_faces.h"
#include "data/pictures/resize.h"
#include "helpers.h"
#include "model/metrics/frechet.h"

/// The network of FD-drawn as it is stored with the sources: what it sees in drawn faces, and what distances between
/// its features say.
namespace ito::bench {
namespace {

using namespace tests;

const char* const kWeights = ITO_SOURCE_DIR "/bench/drawn_features.safetensors";

/// Faces that the features did not learn from, drawn once, in a folder with their cache.
const TempFolder& folder() {
  static const TempFolder made;
  static const bool drawn = [] {
    data::FaceSetOptions set;
    set.count = 500, set.seed = 3;
    data::write_face_set(made / "faces", set);
    return true;
  }();
  (void)drawn;
  return made;
}

data::Dataset faces_of(int side) {
  data::DatasetOptions options;
  options.height = options.width = side;
  options.cache_dir = folder() / "cache", options.split = "all", options.crop = "ddim128";
  return data::open_dataset(folder() / "faces", options);
}

/// FD-drawn between two sets of pixels [faces,64,64,3].
double distance(const DrawnFeatures& features, const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  const auto statistics = [&](const std::vector<uint8_t>& pixels) {
    const size_t count = pixels.size() / (kFeatureSide * kFeatureSide * 3);
    const std::vector<float> rows = features.look(pixels.data(), count, kFeatureSide, kFeatureSide).features;
    model::FeatureSums sums(kDrawnFeatures);
    sums.add({rows.data(), int64_t(count), kDrawnFeatures});
    return sums.statistics();
  };
  return frechet_distance(statistics(a), statistics(b));
}

/// Each face reduced to `side` pixels and enlarged again.
std::vector<uint8_t> blurred(std::vector<uint8_t> pixels, int side) {
  constexpr size_t kFace = size_t(kFeatureSide) * kFeatureSide * 3;
  for (size_t at = 0; at < pixels.size(); at += kFace) {
    data::Image face(kFeatureSide, kFeatureSide);
    std::copy_n(&pixels[at], kFace, face.rgb.data());
    const data::Image small = data::resize(face, {0, 0, kFeatureSide, kFeatureSide}, {side, side});
    data::resize_into(small, {0, 0, side, side}, {kFeatureSide, kFeatureSide}, &pixels[at]);
  }
  return pixels;
}

/// With red and blue exchanged in the first `share` of the faces.
std::vector<uint8_t> recoloured(std::vector<uint8_t> pixels, double share) {
  for (size_t at = 0; at < size_t(share * double(pixels.size())); at += 3)
    std::swap(pixels[at], pixels[at + 2]);
  return pixels;
}

TEST_CASE("the stored features see attributes of faces that they did not learn from, at both sizes") {
  CHECK(std::filesystem::file_size(kWeights) < 1'000'000);
  engine::Device device({.threads = 2});
  const DrawnFeatures features(device, kWeights);
  for (const int side : {kFeatureSide, kFeatureSide / 2}) {
    const data::Dataset faces = faces_of(side);
    CAPTURE(side);
    for (const SeenAttribute& s : seen_attributes(features, faces)) {
      if (s.name != "Male" && s.name != "Smiling" && s.name != "Eyeglasses" && s.name != "Blond_Hair")
        continue;
      CAPTURE(s.name);
      CHECK(s.right > 0.95);
      CHECK(s.with > 0.9);
      CHECK(s.without > 0.9);
    }
  }
}

TEST_CASE("FD-drawn is small between two halves, and grows as faces are blurred and recoloured") {
  engine::Device device({.threads = 2});
  const DrawnFeatures features(device, kWeights);
  const data::Dataset faces = faces_of(kFeatureSide);
  const size_t half = faces.count() / 2 * kFeatureSide * kFeatureSide * 3;
  const std::vector<uint8_t> a(faces.pixels(), faces.pixels() + half),
      b(faces.pixels() + half, faces.pixels() + 2 * half);
  const double floor = distance(features, a, b);
  CHECK(std::abs(distance(features, a, a)) < 1e-6 * floor);
  const double soft = distance(features, a, blurred(b, 24)), softer = distance(features, a, blurred(b, 12));
  CHECK(soft > 1.1 * floor);
  CHECK(softer > 2 * soft);
  const double some = distance(features, a, recoloured(b, 0.2)),
               all = distance(features, a, recoloured(b, 1));
  CHECK(some > 1.1 * floor);
  CHECK(all > 2 * some);
}

TEST_CASE("a seed trains the same features again; what they cannot be trained on or read from is named") {
  engine::Device device({.threads = 2});
  const data::Dataset faces = faces_of(kFeatureSide);
  const auto train = [&](const char* name, uint64_t seed) {
    train_drawn_features(device, faces, {.steps = 3, .batch = 8, .seed = seed}, folder() / name,
                         [](int64_t, double) {});
    return io::read_file(folder() / name);
  };
  const std::string once = train("once", 0);
  CHECK(train("again", 0) == once);
  CHECK(train("other", 1) != once);
  CHECK(DrawnFeatures(device, folder() / "once").attributes() == faces.attribute_names());
  CHECK(contains(error_of([&] {
                   train_drawn_features(device, faces_of(32), {}, folder() / "no", [](int64_t, double) {});
                 }),
                 "faces of 64x64 and crop ddim128, not 32x32"));
  CHECK(contains(error_of([&] { DrawnFeatures(device, folder() / "missing"); }), "missing"));
}

}  // namespace
}  // namespace ito::bench
