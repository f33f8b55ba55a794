#include <doctest/doctest.h>

#include <cmath>

#include "apps/sampling/picture.h"
#include "data/pictures/image.h"
#include "model/diffusion/preconditioning.h"
#include "model/diffusion/sampler_options.h"
#include "model/diffusion/start_noise.h"
#include "model/unet/presets.h"
#include "tests/helpers.h"

/// Where pictures start: noise near a seed's and between two, and what is drawn and recorded of it, in process.
namespace ito::apps {
namespace {

using namespace tests;
using Noise = std::vector<float>;
using Numbers = std::vector<uint64_t>;

const engine::Shape kImage{16, 16, 3};  // of the preset tiny
const int64_t kEach = kImage.count();

double dot(const Noise& a, const Noise& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * b[i];
  return sum;
}
double cosine(const Noise& a, const Noise& b) { return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b)); }

/// A new network and a sampler with noise in its steps.
struct Drawn {
  model::NetworkConfig config = model::preset("tiny").network;
  engine::Device device{{.threads = 1}};
  engine::ParamStore store{device};
  model::Network network{engine::Scope(store), config};
  model::Denoiser denoiser;
  model::SamplerPlan plan;

  Drawn() {
    store.allocate(engine::ParamStore::Use::inference, 0);
    denoiser = model::network_denoiser(network, {});
    model::SamplerOptions options;
    options.sampler = model::SamplerKind::euler_maruyama, options.steps = 3;
    plan = model::make_sampler_plan(model::settle(options, {}), {});
  }
  /// All pictures' numbers, as ./sample draws them.
  Noise draw(const SampleRequest& f, int chunk = 4) {
    const Starts starts(f, kImage);
    model::Sampler sampler(device, denoiser, plan, kImage, chunk);
    Noise all;
    for (size_t first = 0; first < starts.size(); first += size_t(chunk)) {
      const Noise some =
          draw_numbers(sampler, denoiser, starts, first, std::min(starts.size() - first, size_t(chunk)));
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
};

/// Picture i of several.
Noise picture(const Noise& all, int64_t i) {
  REQUIRE(int64_t(all.size()) >= (i + 1) * kEach);
  return {all.begin() + i * kEach, all.begin() + (i + 1) * kEach};
}

TEST_CASE("slerp: its ends are exact, angles are divided in proportion, and lengths stay between both") {
  const Noise a = model::prior_noise(3, 3000), b = model::prior_noise(4, 3000);
  CHECK(model::slerp(a, b, 0) == a);
  CHECK(model::slerp(a, b, 1) == b);
  const double whole = std::acos(cosine(a, b));
  for (const double fraction : {0.1, 0.5, 0.8}) {
    const Noise c = model::slerp(a, b, fraction);
    const double unit_a = std::sqrt(dot(a, a)), unit_b = std::sqrt(dot(b, b)), unit_c = std::sqrt(dot(c, c));
    CHECK(unit_c > 0.99 * std::min(unit_a, unit_b));
    CHECK(unit_c < 1.01 * std::max(unit_a, unit_b));
    // Both are of nearly one length, so that the angles are nearly in proportion.
    CHECK(std::acos(cosine(a, c)) == doctest::Approx(fraction * whole).epsilon(0.02));
  }
  // Exactly so of vectors of one length: 30 degrees of 90.
  const Noise turned = model::slerp({1, 0}, {0, 1}, 1.0 / 3);
  CHECK(turned[0] == doctest::Approx(std::sqrt(0.75)));
  CHECK(turned[1] == doctest::Approx(0.5));
}

TEST_CASE("slerp of parallel noise is linear; what has no meaning is refused") {
  CHECK(model::slerp({1, 2}, {2, 4}, 0.5) == Noise{1.5, 3});
  CHECK(model::slerp({0, 0}, {2, 4}, 0.5) == Noise{1, 2});
  const Noise near = model::slerp({1, 1}, {1, 1 + 1e-6f}, 0.5);
  CHECK(near[0] == doctest::Approx(1));
  CHECK(contains(error_of([] { model::slerp({1}, {1, 2}, 0.5); }), "noise of 1 numbers and of 2"));
  for (const double bad : {-0.1, 1.5, std::nan("")})
    CHECK(contains(error_of([&] { model::slerp({1}, {2}, bad); }), "the fraction is from 0 to 1"));
  CHECK(contains(error_of([] { model::between_noise(1, 2, 3, 3, 4); }), "no noise 3 of 3"));
  CHECK(contains(error_of([] { model::between_noise(1, 2, 0, 1, 4); }), "no noise 0 of 1"));
}

TEST_CASE("variations: number 0 is the face, the others are as far as the spread, of unit variance") {
  const int64_t count = 12288;
  const Noise face = model::prior_noise(5, count);
  CHECK(model::variation_noise(5, 0, 0.3, count) == face);
  CHECK(model::variation_noise(5, 7, 0, count) == face);
  CHECK(model::variation_noise(5, 7, 0.3, count) == model::variation_noise(5, 7, 0.3, count));
  CHECK(model::variation_noise(5, 7, 0.3, count) != model::variation_noise(5, 8, 0.3, count));
  CHECK(model::variation_noise(5, 7, 0.3, count) != model::variation_noise(6, 7, 0.3, count));
  const Noise first = model::variation_noise(5, 1, 1, count),
              high = model::variation_noise(5, 1ull << 32, 1, count);
  for (const Noise& other :
       {first, high}) {  // independent of the face, of each other and of the seed's next face
    CHECK(std::abs(cosine(other, face)) < 0.05);
    CHECK(std::abs(cosine(other, model::prior_noise(6, count))) < 0.05);
  }
  CHECK(std::abs(cosine(first, high)) < 0.05);
  for (const double spread : {0.1, 0.3, 0.7}) {
    const Noise near = model::variation_noise(5, 3, spread, count);
    CHECK(cosine(near, face) == doctest::Approx(std::cos(spread * std::acos(-1) / 2)).epsilon(0.03));
    CHECK(dot(near, near) / double(count) == doctest::Approx(1).epsilon(0.05));
  }
}

TEST_CASE("the starts of requests: files' numbers, seeds, noise and facts") {
  const Starts seeds({.seeds = "5,2"}, kImage);
  CHECK(seeds.numbers() == Numbers{5, 2});
  CHECK(seeds.seeds() == Numbers{5, 2});
  CHECK(seeds.noise(0, 2).empty());
  CHECK(seeds.facts().empty());
  const Starts near({.count = 3, .variations = 9}, kImage);
  CHECK(near.numbers() == Numbers{0, 1, 2});
  CHECK(near.seeds() == Numbers{9, 9, 9});
  CHECK(near.noise(2, 1) == model::variation_noise(9, 2, 0.3, kEach));
  CHECK(near.facts() == model::SamplerFacts{{"variations", "9"}, {"spread", "0.3"}});
  CHECK(Starts({.variations = 9}, kImage).size() == 64);
  const Starts between({.interpolate = "3,9"}, kImage);
  CHECK(between.size() == 8);
  CHECK(between.seeds() == Numbers(8, 3));
  CHECK(picture(between.noise(0, 8), 0) == model::prior_noise(3, kEach));
  CHECK(picture(between.noise(0, 8), 7) == model::prior_noise(9, kEach));
  CHECK(between.noise(3, 1) == model::between_noise(3, 9, 3, 8, kEach));
  CHECK(between.facts() == model::SamplerFacts{{"interpolate", "3,9"}, {"count", "8"}});
}

TEST_CASE("starts that exclude each other, and flags that do nothing, are refused with a sentence") {
  const auto error = [](const SampleRequest& f) { return error_of([&] { check_starts(f); }); };
  CHECK(contains(error({.spread = 0.5}), "--spread does nothing without --variations"));
  CHECK(contains(error({.spread = 0.5, .interpolate = "1,2"}), "--spread does nothing without --variations"));
  CHECK(contains(error({.variations = 1, .interpolate = "1,2"}),
                 "--variations and --interpolate exclude each other"));
  CHECK(contains(error({.seeds = "1", .variations = 1}), "--variations and --seeds exclude each other"));
  CHECK(contains(error({.noise = "x.npy", .variations = 1}), "--variations and --noise exclude each other"));
  CHECK(contains(error({.attribute_grid = "A", .interpolate = "1,2"}),
                 "--interpolate and --attr-grid exclude each other"));
  CHECK(contains(error({.count = 1, .interpolate = "1,2"}), "--count 2 or more"));
  for (const char* bad : {"1", "1,2,3", ","}) {
    CAPTURE(bad);
    CHECK(contains(error({.interpolate = bad}), "--interpolate"));
  }
  CHECK(contains(error({.interpolate = "1,-2"}), "each seed of --interpolate must be a whole number"));
  CHECK(contains(error_of([] { check_attribute_grid({.attribute_grid = "A", .chunk = 2}); }),
                 "--chunk does nothing with --attr-grid"));
  check_starts({});
  check_starts({.count = 1, .variations = 3, .spread = 0});
}

TEST_CASE("drawn: a variation without spread and both ends are the very pictures of their seeds") {
  Drawn d;
  const Noise seed5 = d.draw({.seeds = "5"});
  const Noise near = d.draw({.count = 6, .variations = 5}), few = d.draw({.count = 2, .variations = 5});
  CHECK(picture(near, 0) == seed5);
  CHECK(picture(near, 1) != seed5);
  CHECK(picture(near, 5) != picture(near, 4));
  CHECK(picture(few, 1) == picture(near, 1));  // whatever --count is
  CHECK(picture(d.draw({.count = 2, .variations = 5, .spread = 0}), 1) == seed5);
  const Noise way = d.draw({.count = 3, .interpolate = "5,6"});
  CHECK(picture(way, 0) == seed5);
  CHECK(picture(way, 1) != seed5);
  CHECK(picture(d.draw({.count = 3, .interpolate = "5,5"}), 2) == seed5);
  // The steps' noise is that of the first seed all the way.
  CHECK(picture(way, 2) != d.draw({.seeds = "6"}));
}

TEST_CASE("a chunk is as many as are asked for, at most what the device holds") {
  Drawn d;
  CHECK(chunk_of({}, d.device, d.denoiser, kImage).images == 8);
  const Chunk three = chunk_of({.chunk = 3}, d.device, d.denoiser, kImage);
  CHECK(three.images == 3);
  CHECK(three.evaluation_bytes < chunk_of({}, d.device, d.denoiser, kImage).evaluation_bytes);
}

TEST_CASE(
    "a picture's bytes hold its pixels, and as texts its number and what tells its sampling from others") {
  const std::vector<uint8_t> pixels(size_t(kEach), 77);
  SampleNote note;
  note.run = "run", note.step = 4, note.sampling = {{"sampler", "heun"}};
  const auto texts = [&](uint64_t number) {
    const std::vector<uint8_t> png = encode_picture(pixels.data(), kImage, note, number);
    CHECK(data::decode_image(png.data(), png.size(), "it").rgb == pixels);
    CHECK(png == data::encode_png(picture_of(pixels.data(), kImage), texts_of(note, {number})));
    return data::png_texts(png.data(), png.size());
  };
  CHECK(texts(5)[0] == std::pair<std::string, std::string>{"seed", "5"});
  const SampleNote plain = note;
  for (const auto& fact : Starts({.variations = 9}, kImage).facts()) note.sampling.push_back(fact);
  const data::PngTexts near = texts(5);
  CHECK(near[0] == std::pair<std::string, std::string>{"number", "5"});
  CHECK(near[4] == std::pair<std::string, std::string>{"variations", "9"});
  CHECK(near[5] == std::pair<std::string, std::string>{"spread", "0.3"});
  CHECK_FALSE(same_sampling(plain, note));
  CHECK(picture_name(5) == "000005.png");
  CHECK(picture_name(12345678) == "12345678.png");
}

}  // namespace
}  // namespace ito::apps
