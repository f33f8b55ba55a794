#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/io/safetensors.h"
#include "model/metrics/inception.h"
#include "tests/feature_recipe.h"
#include "tests/helpers.h"

/// FID's network against pytorch-fid, torch-fidelity and clean-fid themselves
/// (tests/reference/inception_features.py).
namespace ito::model {
namespace {

using namespace tests;

constexpr int kKept = 64;

const io::SafetensorsReader& golden() {
  static const io::SafetensorsReader reader(ITO_SOURCE_DIR "/tests/fixtures/metrics_inception.safetensors");
  return reader;
}

/// [N,H,W,C] numbers at the indices of the flattened [N,C,H,W] that the fixture keeps.
template <class Numbers>
std::vector<double> kept(const Numbers& values, int64_t h, int64_t w, int64_t c) {
  std::vector<double> result;
  const int64_t step = int64_t(values.size()) / kKept;
  for (int64_t i = 0; i < kKept * step; i += step) {
    const int64_t x = i % w, y = i / w % h, channel = i / (w * h) % c, n = i / (w * h * c);
    result.push_back(double(values[size_t(((n * h + y) * w + x) * c + channel)]));
  }
  return result;
}

/// The largest difference from the fixture's numbers, relative to their root mean square; NaN counts as
/// infinite.
double distance(const std::vector<double>& got, const std::string& name) {
  const std::vector<float> want = golden().values<float>(name);
  REQUIRE(want.size() == got.size());
  double worst = 0, squares = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double difference = std::abs(got[i] - double(want[i]));
    worst = std::max(worst, std::isfinite(difference) ? difference : INFINITY),
    squares += double(want[i]) * want[i];
  }
  return worst / std::sqrt(squares / double(want.size()));
}

/// Images as the network sees them: [n,299,299,3].
std::vector<float> inputs(ResizeMode mode, const std::vector<uint8_t>& images, int n, int h, int w) {
  constexpr size_t kInput = size_t(kInceptionSize) * kInceptionSize * 3;
  std::vector<float> x(size_t(n) * kInput);
  for (int i = 0; i < n; ++i)
    inception_input(mode, images.data() + size_t(i) * h * w * 3, h, w, x.data() + size_t(i) * kInput);
  return x;
}

constexpr ResizeMode kModes[] = {ResizeMode::pytorch_fid, ResizeMode::tf1, ResizeMode::clean};
constexpr int kSizes[][2] = {{64, 64}, {40, 400}, {299, 299}};

TEST_CASE("images are resized as each program does it: small, wide, and of the size already") {
  for (const ResizeMode mode : kModes) {
    for (const auto& [h, w] : kSizes) {
      const std::string name = cat("input.", name_of(mode), ".", h, "x", w);
      CAPTURE(name);
      const std::vector<float> x = inputs(mode, feature_images(2, h, w), 2, h, w);
      // Those programs compute in f32, from numbers of up to 255; positions of up to 400 have an error of
      // 2^-16.
      CHECK(distance(kept(x, kInceptionSize, kInceptionSize, 3), name) < 2e-5);
    }
  }
}

TEST_CASE("every stage of the network, and the corners of its blocks, are pytorch-fid's") {
  Device device;
  const Inception network(device, feature_weight);
  const std::vector<float> x = inputs(ResizeMode::pytorch_fid, feature_images(2, 64, 64), 2, 64, 64);
  size_t stages = 0;
  network.pool3(Tensor::from(device, {2, kInceptionSize, kInceptionSize, 3}, DType::f32, x.data()),
                [&](const std::string& name, const Tensor& y) {
                  CAPTURE(name);
                  const engine::Shape s = y.shape();
                  const std::vector<double> values = y.to_doubles();
                  CHECK(distance(kept(values, s[1], s[2], s[3]), name) < 1e-4);
                  ++stages;
                  if (name.rfind("Mixed", 0) != 0) return;
                  std::vector<double> corners;
                  for (const auto& [i, j] : {std::pair{0, 0},
                                             {0, 1},
                                             {1, 0},
                                             {1, 1},
                                             {int(s[1]) - 1, int(s[2]) - 1},
                                             {int(s[1]) - 1, int(s[2]) - 2}})
                    for (int64_t c = s[3] - 4; c < s[3]; ++c)
                      corners.push_back(values[size_t(((s[1] + i) * s[2] + j) * s[3] + c)]);
                  CHECK(distance(corners, name + ".corner") < 1e-4);
                });
  CHECK(stages == 18);
}

TEST_CASE("features and logits are those of pytorch-fid, torch-fidelity and clean-fid") {
  Device device;
  for (const ResizeMode mode : kModes) {
    const InceptionFeatures extract(device, feature_weight, mode);
    for (const auto& [h, w] : kSizes) {
      const std::string name = cat(".", name_of(mode), ".", h, "x", w);
      CAPTURE(name);
      std::vector<float> features(2 * Inception::kFeatures, NAN), logits(2 * Inception::kClasses, NAN);
      extract(feature_images(2, h, w).data(), 2, h, w, features.data(), logits.data());
      CHECK(distance(kept(features, 1, 1, Inception::kFeatures), "pool3" + name) < 1e-4);
      CHECK(distance(kept(logits, 1, 1, Inception::kClasses), "logits" + name) < 1e-4);
    }
  }
}

TEST_CASE("an image's features depend neither on its batch nor on the threads, and the tape stays empty") {
  Device two({2}), one({1});
  const std::vector<uint8_t> images = feature_images(3, 32, 48);
  std::vector<float> batched(3 * Inception::kFeatures), single(batched.size(), NAN);
  InceptionFeatures(two, feature_weight, ResizeMode::tf1, 2)(images.data(), 3, 32, 48, batched.data());
  InceptionFeatures(one, feature_weight, ResizeMode::tf1, 1)(images.data(), 3, 32, 48, single.data());
  CHECK(batched == single);
  CHECK(two.tape().size() == 0);
  CHECK(two.arena().live_bytes() == 0);
}

TEST_CASE("weights come from a safetensors file; those that do not fit are refused by name") {
  const TempFolder folder;
  const std::filesystem::path file = folder.path() / "weights.safetensors";
  const std::vector<float> values{1, 2, 3, 4, 5, 6}, broken{1, NAN};
  io::write_safetensors(file, {{{"a.weight", io::ElementType::f32, {2, 3, 1, 1}}, values.data()},
                               {{"b", io::ElementType::f32, {2}}, broken.data()}});
  const WeightSource source = weights_of_file(file);
  CHECK(source("a.weight", {2, 3, 1, 1}) == values);
  CHECK_THROWS_WITH_AS(source("a.weight", {3, 2, 1, 1}),
                       doctest::Contains("'a.weight' is [2, 3, 1, 1], expected [3, 2"), Error);
  CHECK_THROWS_WITH_AS(source("b", {2}), doctest::Contains("'b' holds nan"), Error);
  CHECK_THROWS_WITH_AS(source("c", {2}), doctest::Contains("'c'"), Error);
  Device device;
  CHECK_THROWS_WITH_AS(Inception(device, source), doctest::Contains("Conv2d_1a_3x3.conv.weight"), Error);
}

TEST_CASE("weights come from what torch.save wrote, in both its forms") {
  for (const char* name : {"torch_legacy.pth", "torch_zip.pth"}) {
    CAPTURE(name);
    const WeightSource source =
        weights_of_file(std::filesystem::path(ITO_SOURCE_DIR "/tests/fixtures") / name);
    std::vector<float> expected;  // as tests/reference/torch_fixtures.py has it
    for (int i = 0; i < 18; ++i) expected.push_back(float(3 * i - 7) / 4);
    CHECK(source("conv.weight", {3, 2, 1, 3}) == expected);
    CHECK(source("transposed", {3, 2}) == std::vector<float>{-1.75f, 0.5f, -1, 1.25f, -0.25f, 2});
    CHECK_THROWS_WITH_AS(source("bn.running_var", {4}), doctest::Contains("is [3], expected [4]"), Error);
    CHECK_THROWS_WITH_AS(source("fc.weight", {3}), doctest::Contains("fc.weight"), Error);
  }
}

TEST_CASE("mistakes are reported") {
  CHECK(parse_name<ResizeMode>("clean") == ResizeMode::clean);
  CHECK_THROWS_WITH_AS(parse_name<ResizeMode>("tf"), doctest::Contains("did you mean \"tf1\""), Error);
  Device device;
  CHECK_THROWS_WITH_AS(InceptionFeatures(device, feature_weight, ResizeMode::clean, 0),
                       doctest::Contains("batch of 0"), Error);
}

}  // namespace
}  // namespace ito::model
