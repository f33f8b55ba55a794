#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/philox.h"
#include "metric_recipe.h"
#include "model/metrics/frechet.h"
#include "model/metrics/inception_score.h"
#include "model/metrics/kernel_distance.h"
#include "model/metrics/ms_ssim.h"
#include "model/metrics/neighbours.h"
#include "model/metrics/pixel_features.h"
#include "model/metrics/random_pairs.h"
#include "model/metrics/vendi.h"
#include "tests/helpers.h"

/// The metrics against NumPy's and SciPy's values (tests/reference/metric_values.py), and against what can be
/// known without them.
namespace ito::tests {
namespace {

using doctest::Approx;
using namespace model;

double expected(const char* name) {
  static const nlohmann::json values =
      nlohmann::json::parse(std::ifstream(ITO_SOURCE_DIR "/tests/fixtures/metrics.json"));
  return values.at(name).get<double>();
}

FeatureStatistics statistics_of(const RecipeFeatures& x, int64_t rows_at_once = 1 << 30) {
  FeatureSums sums(x.columns);
  for (int64_t begin = 0; begin < x.rows; begin += rows_at_once)
    sums.add({x.view().row(begin), std::min(rows_at_once, x.rows - begin), x.columns});
  return sums.statistics();
}

const RecipeFeatures& many_a() {
  static const RecipeFeatures x = recipe_features(1, 300, 24);
  return x;
}
const RecipeFeatures& many_b() {
  static const RecipeFeatures x = recipe_features(2, 200, 24, 0.25, 1.125);
  return x;
}
const RecipeFeatures& few_a() {
  static const RecipeFeatures x = recipe_features(3, 40, 96);
  return x;
}
const RecipeFeatures& few_b() {
  static const RecipeFeatures x = recipe_features(4, 30, 96, 0.25, 1.125);
  return x;
}

RecipeFeatures points(const std::vector<std::pair<float, float>>& places) {
  RecipeFeatures x{int64_t(places.size()), 2, {}};
  for (const auto& [a, b] : places) x.values.push_back(a), x.values.push_back(b);
  return x;
}

// Sums of up to 1e5 products in f64, then eigenvalues: 1e-10 leaves a factor of 1000 to rounding.
constexpr double kF64 = 1e-10;
// Below full rank an eigenvalue of 0 comes out as up to 1e-16 of the largest, and its root as 1e-8.
constexpr double kDeficient = 1e-6;

}  // namespace

TEST_CASE(
    "the Frechet distance: scipy's matrix root, and the nuclear norm with fewer images than dimensions") {
  const FeatureStatistics a = statistics_of(many_a()), b = statistics_of(many_b());
  CHECK(frechet_distance(a, b) == Approx(expected("frechet")).epsilon(kF64));
  CHECK(frechet_distance(b, a) == Approx(expected("frechet")).epsilon(kF64));
  const FeatureStatistics few = statistics_of(few_a()), fewer = statistics_of(few_b());
  CHECK(frechet_distance(few, fewer) == Approx(expected("frechet_few")).epsilon(kDeficient));
  CHECK(frechet_distance(fewer, few) == Approx(expected("frechet_few")).epsilon(kDeficient));
  const FeatureStatistics many = statistics_of(recipe_features(5, 400, 96, 0.25, 1.125));
  CHECK(frechet_distance(few, many) == Approx(expected("frechet_few_many")).epsilon(kDeficient));
  FeatureStatistics unknown = few;  // as from a file, which does not say how many
  unknown.count = 0;
  CHECK(frechet_distance(unknown, many) == Approx(expected("frechet_few_many")).epsilon(kDeficient));
}

TEST_CASE("a set against itself: less than 1e-4 of the trace, of full rank and below") {
  for (const RecipeFeatures* x : {&many_a(), &few_a()}) {
    const FeatureStatistics s = statistics_of(*x);
    CHECK(std::abs(frechet_distance(s, s)) < 1e-4 * trace(s));
  }
  FeatureStatistics constant = statistics_of(few_a());
  std::fill(constant.covariance.begin(), constant.covariance.end(), 0.0);
  CHECK(frechet_distance(constant, constant) == 0);
}

TEST_CASE("in one dimension the distance is (m1 - m2)^2 + (s1 - s2)^2") {
  const FeatureStatistics a{10, {1.5}, {4}}, b{10, {-1}, {9}};
  CHECK(frechet_distance(a, b) == Approx(2.5 * 2.5 + 1).epsilon(1e-15));
}

TEST_CASE("statistics have the same bits however the rows are divided") {
  const RecipeFeatures x = recipe_features(6, 700, 17, 3);
  const FeatureStatistics whole = statistics_of(x);
  for (const int64_t at_once : {1, 7, 256, 300}) {
    const FeatureStatistics parts = statistics_of(x, at_once);
    CHECK(parts.mean == whole.mean);
    CHECK(parts.covariance == whole.covariance);
    CHECK(parts.count == 700);
  }
}

TEST_CASE("statistics that cannot be compared are refused with what they are") {
  const FeatureStatistics a = statistics_of(many_a()), other = statistics_of(few_a());
  CHECK(error_of([&] { frechet_distance(a, other); }) ==
        "statistics of 24 and of 96 features cannot be compared");
  FeatureStatistics bad = a;
  bad.covariance[5] = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([&] { frechet_distance(a, bad); }) == "statistics hold numbers that are not finite");
  CHECK(error_of([&] { statistics_of(recipe_features(1, 1, 4)); }) ==
        "FID needs at least 2 images on each side, there are 1");
  RecipeFeatures holed = recipe_features(1, 3, 4);
  holed.values[9] = std::numeric_limits<float>::infinity();
  CHECK(error_of([&] { statistics_of(holed); }) == "FID: the features of image 2 are not finite");
  FeatureSums sums(5);
  CHECK(error_of([&] { sums.add(holed.view()); }) == "features of width 4 where 5 are expected");
}

TEST_CASE("KID: torch-fidelity's subsets and estimator") {
  int calls = 0;
  const KernelDistance d =
      kernel_distance(many_a().view(), many_b().view(), {10, 50, 2020}, [&](int, int) { ++calls; });
  CHECK(d.mean == Approx(expected("kid")).epsilon(kF64));
  CHECK(d.deviation == Approx(expected("kid_deviation")).epsilon(kF64));
  CHECK(calls == 10);
  const KernelDistance whole = kernel_distance(few_a().view(), few_b().view(), {1, 1000, 7});
  CHECK(whole.subset_size == 30);
  CHECK(whole.mean == Approx(expected("kid_whole")).epsilon(kF64));
  CHECK(error_of([&] { kernel_distance(few_a().view(), many_a().view()); }) ==
        "KID: features of width 96 cannot be compared with features of width 24; take both from one network");
}

TEST_CASE("precision, recall, density and coverage: NumPy's values") {
  const Overlap o = overlap(many_a().view(), many_b().view());
  CHECK(o.precision == Approx(expected("precision")).epsilon(1e-12));
  CHECK(o.recall == Approx(expected("recall")).epsilon(1e-12));
  CHECK(o.density == Approx(expected("density")).epsilon(1e-12));
  CHECK(o.coverage == Approx(expected("coverage")).epsilon(1e-12));
  const Overlap same = overlap(many_a().view(), many_a().view());
  CHECK(same.precision == 1);
  CHECK(same.recall == 1);
  CHECK(same.coverage == 1);
}

TEST_CASE("precision, recall, density and coverage on points placed by hand") {
  // On a line, 1 apart: inner points have their second neighbour at 1, the ends at 2.
  const RecipeFeatures real = points({{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}});
  CHECK(neighbour_radii(real.view(), {1, 2}) ==
        std::vector<std::vector<double>>{{1, 1, 1, 1, 1}, {4, 1, 1, 1, 4}});
  // Two on a real point, one on a ball's edge, one next to it, three far away.
  const RecipeFeatures generated = points({{0, 0}, {0, 0}, {2, 1}, {2, 2}, {90, 0}, {91, 0}, {92, 0}});
  const Overlap o = overlap(real.view(), generated.view(), 1, 1);
  CHECK(o.precision == Approx(3 / 7.0).epsilon(1e-15));  // (2, 1) is in the closed ball of (2, 0)
  CHECK(o.recall == Approx(2 / 5.0).epsilon(1e-15));     // (0, 0), and (2, 0) in the closed ball of (2, 1)
  CHECK(o.density == Approx(2 / 7.0).epsilon(1e-15));    // in open balls: those on (0, 0) alone
  CHECK(o.coverage == Approx(1 / 5.0).epsilon(1e-15));
  CHECK(error_of([&] { overlap(real.view(), generated.view(), 3, 5); }) ==
        "the distance to a neighbour needs at least 6 images, there are 5");
}

TEST_CASE("the nearest row, the first of equals, across tiles") {
  const std::vector<Nearest> nearest = nearest_rows(many_b().view(), many_a().view());
  CHECK(nearest.size() == 200);
  CHECK(double(nearest[17].row) == expected("nearest_row"));
  CHECK(nearest[17].distance == Approx(expected("nearest_distance")).epsilon(1e-12));
  RecipeFeatures line{3000, 1, {}};
  for (int i = 0; i < 3000; ++i) line.values.push_back(float(i / 2));  // each number twice
  const std::vector<Nearest> own = nearest_rows(line.view(), line.view());
  for (int i = 0; i < 3000; ++i) CHECK(own[size_t(i)].row == i / 2 * 2);
  const auto radii = neighbour_radii(line.view(), {1, 2});
  CHECK(radii[0] == std::vector<double>(3000, 0));
  CHECK(radii[1] == std::vector<double>(3000, 1));
}

TEST_CASE("the Vendi score: NumPy's values, and its bounds") {
  CHECK(vendi_score(many_a().view()) == Approx(expected("vendi")).epsilon(kF64));
  CHECK(vendi_score(few_a().view()) == Approx(expected("vendi_few")).epsilon(kF64));
  CHECK(vendi_score(points({{1, 2}, {2, 4}, {5, 10}}).view()) == Approx(1).epsilon(1e-12));
  CHECK(vendi_score(points({{1, 0}, {0, 3}}).view()) == Approx(2).epsilon(1e-12));
  CHECK(error_of([] {
          vendi_score(points({{1, 0}, {0, 0}}).view());
        }) == "the Vendi score is undefined: all features of image 1 are 0");
}

TEST_CASE("the Inception score: SciPy's values, however the rows arrive") {
  RecipeFeatures logits = recipe_features(11, 103, 12);
  for (float& v : logits.values) v *= 8;
  for (const int64_t at_once : {1, 50, 103}) {
    InceptionScore score(103, 12);
    for (int64_t i = 0; i < 103; i += at_once) score.add(logits.view().row(i), std::min(at_once, 103 - i));
    CHECK(score.result().mean == Approx(expected("inception_score")).epsilon(kF64));
    CHECK(score.result().deviation == Approx(expected("inception_score_deviation")).epsilon(1e-8));
  }
  InceptionScore score(103, 12);
  CHECK(error_of([&] { score.result(); }) == "the Inception score of 103 images was given 0");
  CHECK(error_of([] { InceptionScore(9, 12); }) ==
        "the Inception score needs an image for each of its 10 splits, there are 9");
}

TEST_CASE("MS-SSIM-3: TensorFlow's definition, in NumPy") {
  const auto a = recipe_picture(5, 64, 64, 8), b = recipe_picture(6, 64, 64, 16),
             c = recipe_picture(7, 64, 64, 32);
  CHECK(ms_ssim3(a.data(), b.data(), 64, 64) == Approx(expected("ms_ssim3")).epsilon(kF64));
  CHECK(ms_ssim3(b.data(), a.data(), 64, 64) == Approx(expected("ms_ssim3")).epsilon(kF64));
  CHECK(ms_ssim3(a.data(), c.data(), 64, 64) == Approx(expected("ms_ssim3_far")).epsilon(kF64));
  const auto odd = recipe_picture(8, 45, 51, 30), other = recipe_picture(9, 45, 51, 30);
  CHECK(ms_ssim3(odd.data(), other.data(), 45, 51) == Approx(expected("ms_ssim3_odd")).epsilon(kF64));
  std::vector<uint8_t> inverted;
  for (const uint8_t v : a) inverted.push_back(uint8_t(255 - v));
  CHECK(ms_ssim3(a.data(), inverted.data(), 64, 64) ==
        Approx(expected("ms_ssim3_inverted")).epsilon(kF64).scale(0.01));
  CHECK(ms_ssim3(a.data(), a.data(), 64, 64) == Approx(1).epsilon(1e-12));
  CHECK(error_of([&] { ms_ssim3(a.data(), b.data(), 40, 64); }) ==
        "MS-SSIM-3 needs images of at least 41 pixels a side, these are 64x40");
}

TEST_CASE("random pairs: no number twice, chosen by the seed; a mean with its error") {
  const auto pairs = random_pairs(101, 1000, 3);
  CHECK(pairs.size() == 50);
  std::set<int64_t> seen;
  for (const auto& [a, b] : pairs) {
    seen.insert(a), seen.insert(b);
    CHECK(std::min(a, b) >= 0);
    CHECK(std::max(a, b) < 101);
  }
  CHECK(seen.size() == 100);
  CHECK(random_pairs(101, 7, 3) == decltype(pairs)(pairs.begin(), pairs.begin() + 7));
  CHECK(random_pairs(101, 1000, 4) != pairs);
  CHECK(random_pairs(1, 10, 3).empty());
  const MeanAndError m = mean_and_error({1, 2, 4});
  CHECK(m.mean == Approx(7 / 3.0).epsilon(1e-15));
  CHECK(m.error == Approx(std::sqrt(7 / 9.0)).epsilon(1e-14));  // variance 7/3, over 3
  CHECK(mean_and_error({5}).error == 0);
}

TEST_CASE("8x8 means: whole boxes, boxes of parts of pixels, and their distance") {
  const auto picture = [](int height, int width) {
    std::vector<uint8_t> pixels;
    for (int i = 0; i < height * width * 3; ++i)
      pixels.push_back(uint8_t(random_uniform({3, Purpose::test, 0, uint32_t(height)}, uint32_t(i)) * 256));
    return pixels;
  };
  for (const auto& [height, width] : {std::pair{8, 8}, {16, 24}, {10, 13}, {9, 100}}) {
    CAPTURE(height);
    const std::vector<uint8_t> pixels = picture(height, width);
    float features[kPixelFeatures];
    std::fill_n(features, kPixelFeatures, std::numeric_limits<float>::quiet_NaN());
    pixel_features(pixels.data(), height, width, features);
    // Every pixel repeated eight times a side: then every box has whole pixels, height x width of them.
    int wrong = 0;
    for (int box = 0; box < 64; ++box)
      for (int c = 0; c < 3; ++c) {
        double sum = 0;
        for (int y = box / 8 * height; y < (box / 8 + 1) * height; ++y)
          for (int x = box % 8 * width; x < (box % 8 + 1) * width; ++x)
            sum += pixels[size_t((y / 8 * width + x / 8) * 3 + c)];
        wrong += !(std::abs(features[box * 3 + c] - (sum / (height * width) / 127.5 - 1)) < 1e-6);
      }
    CHECK(wrong == 0);
  }
  float features[kPixelFeatures];
  CHECK_THROWS_WITH_AS(pixel_features(nullptr, 7, 9, features),
                       "8x8 means need an image of 8x8 pixels or more, not 7x9", Error);
  // A set that is 5 levels brighter everywhere: only the means differ.
  FeatureSums dark(kPixelFeatures), bright(kPixelFeatures);
  for (uint32_t image = 0; image < 40; ++image) {
    std::vector<uint8_t> pixels(8 * 8 * 3);
    for (size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = uint8_t(random_uniform({4, Purpose::test, 0, image}, uint32_t(i)) * 200);
    pixel_features(pixels.data(), 8, 8, features), dark.add({features, 1, kPixelFeatures});
    for (uint8_t& p : pixels) p = uint8_t(p + 5);
    pixel_features(pixels.data(), 8, 8, features), bright.add({features, 1, kPixelFeatures});
  }
  const double expected = kPixelFeatures * (5 / 127.5) * (5 / 127.5);
  CHECK(frechet_distance(dark.statistics(), bright.statistics()) == Approx(expected).epsilon(1e-4));
}

}  // namespace ito::tests
