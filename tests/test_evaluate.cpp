#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "data/pictures/image.h"
#include "engine/io/npy.h"
#include "engine/io/npz.h"
#include "engine/io/safetensors.h"
#include "feature_recipe.h"
#include "metric_recipe.h"
#include "model/metrics/frechet.h"
#include "model/metrics/inception.h"
#include "model/metrics/lpips.h"
#include "model/metrics/ms_ssim.h"
#include "model/metrics/random_pairs.h"
#include "tests/helpers.h"
#include "tests/program.h"

/// ./evaluate as a user runs it: every form of a side, its numbers against the metrics themselves, files,
/// refusals.
namespace ito::tests {
namespace {

namespace fs = std::filesystem;
using doctest::Approx;
using nlohmann::json;

/// A folder of its own for each test case; commands run inside it.
struct Place : TempFolder {
  std::string out, err;  // of the last command

  int run(const std::string& command) {
    const Ended ended = run_program(path(), command);
    out = ended.out, err = ended.err;
    return ended.code;
  }
  /// Runs ./evaluate, which must succeed; its JSON.
  json evaluate(const std::string& arguments) {
    const int code = run("evaluate " + arguments + " --json r.json");
    CAPTURE(arguments);
    CAPTURE(err);
    REQUIRE(code == 0);
    return json::parse(io::read_file(path() / "r.json"));
  }
  /// One line on standard error that holds `part`, and exit code 1.
  void refused(const std::string& arguments, const std::string& part) {
    CAPTURE(arguments);
    CHECK(run("evaluate " + arguments) == 1);
    CAPTURE(err);
    CHECK(contains(err, part));
    CHECK(err.find('\n') == err.size() - 1);
  }
};

/// Picture i of a set, as the metrics' tests draw them.
data::Image picture(int i, int height, int width) {
  data::Image image(width, height);
  image.rgb = recipe_picture(std::uint32_t(100 + i), height, width, 20 + 5 * (i % 7));
  return image;
}

void write_pictures(const fs::path& folder, int first, int count, int height = 64, int width = 64) {
  fs::create_directories(folder);
  for (int i = first; i < first + count; ++i)
    data::write_png(folder / (std::to_string(1000 + i) + ".png"), picture(i, height, width));
}

/// The mean of 1 - MS-SSIM-3 that ./evaluate must find for pictures first ... first + count - 1.
model::MeanAndError similarity_of(int first, int count, int64_t pairs, uint64_t seed) {
  std::vector<double> values;
  for (const auto& [a, b] : model::random_pairs(count, pairs, seed))
    values.push_back(model::ms_ssim3(picture(first + int(a), 64, 64).rgb.data(),
                                     picture(first + int(b), 64, 64).rgb.data(), 64, 64));
  return model::mean_and_error(values);
}

void write_statistics(const fs::path& file, const model::FeatureStatistics& s, bool deflated) {
  const int64_t d = s.dimensions();
  io::NpzWriter writer(file, deflated ? io::NpzWriter::Packing::deflated : io::NpzWriter::Packing::stored);
  writer.add("mu", io::ElementType::f64, {d}, s.mean.data());
  writer.add("sigma", io::ElementType::f64, {d, d}, s.covariance.data());
  writer.commit();
}

model::FeatureStatistics statistics_of(const RecipeFeatures& x) {
  model::FeatureSums sums(x.columns);
  sums.add(x.view());
  return sums.statistics();
}

/// Random weights, and a file of all that were asked for, under the published files' names.
class RandomWeights {
 public:
  model::WeightSource source() {
    return [this](const std::string& name, const std::vector<int64_t>& shape) {
      values_.push_back(feature_weight(name, shape));
      specs_.push_back({name, io::ElementType::f32, shape});
      return values_.back();
    };
  }
  void write(const fs::path& file) const {
    std::vector<io::TensorEntry> entries;
    for (size_t i = 0; i < specs_.size(); ++i) entries.push_back({specs_[i], values_[i].data()});
    io::write_safetensors(file, entries);
  }

 private:
  std::vector<std::vector<float>> values_;
  std::vector<io::TensorSpec> specs_;
};

model::FeatureStatistics statistics_of(const model::InceptionFeatures& network, int first, int count) {
  model::FeatureSums sums(model::Inception::kFeatures);
  std::vector<float> row(model::Inception::kFeatures);
  for (int i = first; i < first + count; ++i) {
    network(picture(i, 64, 64).rgb.data(), 1, 64, 64, row.data());
    sums.add({row.data(), 1, model::Inception::kFeatures});
  }
  return sums.statistics();
}

}  // namespace

TEST_CASE("with weights every number is there, and is what the networks and the metrics give") {
  Place place;
  constexpr int kMade = 10, kReal = 7;
  write_pictures(place / "made", 0, kMade), write_pictures(place / "real", 50, kReal);
  engine::Device device;
  RandomWeights inception, alexnet, heads;
  const model::InceptionFeatures features(device, inception.source(), model::ResizeMode::pytorch_fid);
  model::Lpips lpips(device, alexnet.source(), heads.source());
  inception.write(place / "i.safetensors"), alexnet.write(place / "a.safetensors");
  heads.write(place / "l.safetensors");
  const std::string networks = " --inception i.safetensors --alexnet a.safetensors --lpips l.safetensors";
  const json r =
      place.evaluate("made --reference real --html r.html --save-stats s.npz --inception-score" + networks);
  for (const char* key : {"fid", "fid_floor", "kid", "precision", "recall", "density", "coverage",
                          "diversity", "ms_ssim3", "vendi"}) {
    CAPTURE(key);
    CHECK(r.at(key).is_number());
  }
  const model::FeatureStatistics made = statistics_of(features, 0, kMade),
                                 real = statistics_of(features, 50, kReal);
  CHECK(r.at("fid").get<double>() == Approx(frechet_distance(made, real)).epsilon(1e-6));
  std::vector<double> distances;
  for (const auto& [a, b] : model::random_pairs(kMade, 10000, 0)) {
    distances.push_back(0);
    lpips.distances(picture(int(a), 64, 64).rgb.data(), picture(int(b), 64, 64).rgb.data(), 1, 64, 64,
                    &distances.back());
  }
  CHECK(r.at("diversity").get<double>() == Approx(model::mean_and_error(distances).mean).epsilon(1e-6));
  CHECK(r.at("about").at("figures").at("diversity").at("reference").is_number());
  CHECK(contains(place.out, "is not the published file of the FID network"));
  CHECK(contains(io::read_file(place / "r.html"), "The closest"));
  // The saved statistics stand for the folder.
  const json saved = place.evaluate("s.npz --reference real" + networks);
  CHECK(saved.at("fid").get<double>() == Approx(r.at("fid").get<double>()).epsilon(1e-6));
  place.refused("made --inception a.safetensors", "a.safetensors");
}

TEST_CASE("training measures the FID that is measured afterwards") {
  Place place;
  write_pictures(place / "real", 0, 9, 16, 16);
  engine::Device device;
  RandomWeights inception;
  model::Inception(device, inception.source());
  inception.write(place / "i.safetensors");
  const std::string train =
      "train_celeba real --preset tiny --batch 2 --steps 3 --warmup 1 --sample-count 0 --sample-steps 2 "
      "--validate-count 0 --out run --fid-every 2 --fid-count 5 ";
  REQUIRE(place.run(train + "--inception i.safetensors") == 0);
  CHECK(contains(place.out, "fid        of 5 images every 2 steps: drawing 5 images takes as long as"));
  std::vector<std::pair<int, double>> measured;
  std::ifstream log(place / "run/log.jsonl");
  for (std::string line; std::getline(log, line);)
    if (const json entry = json::parse(line); entry.contains("fid"))
      measured.push_back({entry.at("step"), entry.at("fid")});
  REQUIRE(measured.size() == 2);
  CHECK(measured[0].first == 2);
  CHECK(measured[1].first == 3);
  CHECK(measured[0].second != measured[1].second);
  CHECK(contains(place.out, "fid        step 3: FID-5 is "));
  CHECK(contains(io::read_file(place / "run/run_data.js"), "\"fid\":{\"high\":["));
  const json r =
      place.evaluate("run --reference real --count 5 --sampler heun --steps 2 --inception i.safetensors");
  CHECK(r.at("fid").get<double>() == Approx(measured[1].second).epsilon(1e-9));
  CHECK(place.run("train_celeba real --inception i.safetensors") == 1);
  CHECK(contains(place.err, "--inception does nothing without --fid-every N"));
  CHECK(place.run("train_celeba real --fid-every -3") == 1);
  CHECK(contains(place.err, "--fid-every must be a whole number from 0 to"));
  CHECK(place.run(train) == 1);
  CHECK(contains(place.err, "--fid-every needs the FID network. --inception: get pt_inception-2015-12-05"));
}

TEST_CASE("two folders without weights: what needs none is measured, and where to get the rest is printed") {
  Place place;
  write_pictures(place / "made", 0, 20), write_pictures(place / "real", 50, 31);
  const json r = place.evaluate("made --reference real --seed 3 --html r.html");
  const model::MeanAndError ours = similarity_of(0, 20, 10000, 3), real = similarity_of(50, 31, 10000, 3);
  CHECK(r.at("ms_ssim3").get<double>() == Approx(ours.mean).epsilon(1e-12));
  const json& about = r.at("about").at("figures").at("ms_ssim3");
  CHECK(about.at("spread").get<double>() == Approx(ours.error).epsilon(1e-12));
  CHECK(about.at("reference").get<double>() == Approx(real.mean).epsilon(1e-12));
  CHECK(about.at("ratio").get<double>() == Approx((1 - ours.mean) / (1 - real.mean)).epsilon(1e-12));
  for (const char* key :
       {"fid", "fid_floor", "kid", "precision", "recall", "density", "coverage", "diversity", "vendi"}) {
    CAPTURE(key);
    CHECK(r.at(key).is_null());
    CHECK(contains(r.at("about").at("figures").at(key).at("missing"), "needs --"));
  }
  CHECK(r.at("about").at("generated").at("images") == 20);
  CHECK(r.at("about").at("reference").at("height") == 64);
  for (const char* part : {"pt_inception-2015-12-05-6726825d.pth", "alexnet-owt-7be5be79.pth", "alex.pth"})
    CHECK(contains(place.out, part));
  const std::string page = io::read_file(place / "r.html");
  CHECK(contains(page, "data:image/png;base64,"));
  for (const char* outside : {"src=\"http", " href=", "url(", "@import"})
    CHECK_FALSE(contains(page, outside));
}

TEST_CASE("--count takes the images that the seed chooses, the same again") {
  Place place;
  write_pictures(place / "made", 0, 30);
  const json a = place.evaluate("made --count 12"), b = place.evaluate("made --count 12"),
             c = place.evaluate("made --count 12 --seed 1");
  CHECK(a == b);
  CHECK(a.at("about").at("generated").at("images") == 12);
  CHECK(a.at("about").at("generated").at("available") == 30);
  CHECK(a.at("ms_ssim3") != c.at("ms_ssim3"));
}

TEST_CASE("statistics of others are compared without weights, stored or deflated") {
  Place place;
  const auto a = statistics_of(recipe_features(1, 300, 24)),
             b = statistics_of(recipe_features(2, 200, 24, 0.25, 1.125));
  write_statistics(place / "a.npz", a, false), write_statistics(place / "b.npz", b, true);
  const double fid = frechet_distance(a, b);
  CHECK(place.evaluate("a.npz --reference b.npz").at("fid").get<double>() == Approx(fid).epsilon(1e-10));
  // score_sde's raw features: statistics are made of them, and what compares all with all works, too.
  const RecipeFeatures x = recipe_features(1, 300, 24);
  io::NpzWriter raw(place / "raw.npz");
  raw.add("pool_3", io::ElementType::f32, {300, 24}, x.values.data());
  raw.commit();
  const json r = place.evaluate("raw.npz --reference b.npz --save-stats saved.npz");
  CHECK(r.at("fid").get<double>() == Approx(fid).epsilon(1e-10));
  CHECK(place.evaluate("saved.npz --reference b.npz").at("fid").get<double>() == Approx(fid).epsilon(1e-10));
  const json same = place.evaluate("raw.npz --reference raw.npz");
  CHECK(std::abs(same.at("fid").get<double>()) < 1e-4 * trace(a));
  CHECK(same.at("fid_floor").get<double>() > 0);
  CHECK(same.at("precision") == 1);
  CHECK(same.at("coverage") == 1);
}

TEST_CASE("guided-diffusion's images in an .npz are the folder's") {
  Place place;
  write_pictures(place / "made", 0, 9);
  std::vector<uint8_t> pixels;
  for (int i = 0; i < 9; ++i) {
    const data::Image image = picture(i, 64, 64);
    pixels.insert(pixels.end(), image.rgb.begin(), image.rgb.end());
  }
  io::NpzWriter writer(place / "made.npz");
  writer.add("arr_0", io::ElementType::u8, {9, 64, 64, 3}, pixels.data());
  writer.commit();
  CHECK(place.evaluate("made.npz").at("ms_ssim3") == place.evaluate("made").at("ms_ssim3"));
  CHECK(place.evaluate("made.npz --count 5").at("ms_ssim3") ==
        place.evaluate("made --count 5").at("ms_ssim3"));
}

TEST_CASE("a checkpoint is sampled in memory: the files of ./sample give the same numbers") {
  Place place;
  write_pictures(place / "faces", 0, 8);
  REQUIRE(
      place.run("train_celeba faces --preset tiny --size 48 --batch 2 --steps 1 --warmup 1 --sample-count 1 "
                "--sample-steps 2 --validate-count 0 --out run") == 0);
  REQUIRE(place.run("sample --run run --steps 3 --count 5 --out samples") == 0);
  const json direct = place.evaluate("run --count 5 --steps 3"), files = place.evaluate("samples");
  CHECK(direct.at("ms_ssim3") == files.at("ms_ssim3"));
  CHECK(files.at("about").at("generated").at("images") == 5);  // grid.png is none
  write_pictures(place / "samples", 0, 2, 48, 48);             // of another sampling
  CHECK(place.evaluate("samples").at("ms_ssim3") == files.at("ms_ssim3"));
  CHECK(direct.at("about").at("generated").at("step") == "1");
}

TEST_CASE("CelebA is cut as the generated side is; another crop or size is refused with both") {
  Place place;
  const fs::path tree = place / "celeba/img_align_celeba";
  fs::create_directories(tree);
  for (int i = 1; i <= 6; ++i) {
    char name[16];
    std::snprintf(name, sizeof name, "%06d.jpg", i);
    data::write_jpeg(tree / name, picture(i, 218, 178));
  }
  write_pictures(place / "made", 0, 6);
  const json r = place.evaluate("made --reference celeba --crop c140");
  CHECK(r.at("about").at("reference").at("crop") == "c140");
  CHECK(r.at("about").at("reference").at("split") == "train");
  CHECK(r.at("about").at("reference").at("height") == 64);
  std::ofstream(place / "made/samples.json")
      << R"({"run":"r","step":5,"sampler":"heun","sampler_steps":18,)"
      << R"("seeds":[1000,1001,1002,1003,1004,1005],"crop":"c148","height":64,"width":64})";
  CHECK(place.evaluate("made --reference celeba").at("about").at("reference").at("crop") == "c148");
  place.refused("made --reference celeba --crop ddim128", "made has crop c148, celeba has crop ddim128");
  place.refused("made --reference celeba --size 48", "made has size 64x64, celeba has size 48x48");
}

TEST_CASE("what cannot be measured is refused in one line, before the work") {
  Place place;
  write_pictures(place / "made", 0, 4), write_pictures(place / "small", 0, 4, 48, 48);
  place.refused("nowhere", "nowhere: there is no such file or folder");
  place.refused("made --reference small", "made has size 64x64, small has size 48x48");
  place.refused("made --save-stats s.npz", "pt_inception-2015-12-05-6726825d.pth");
  place.refused("made --json nowhere/r.json", "there is no folder");
  place.refused("made --count 1", "--count must be a whole number from 2");
  place.refused("made --inceptoin x", "did you mean --inception?");
  place.refused("made --alexnet x.pth", "LPIPS needs both");
  place.refused("made --resize bicubic", "pytorch-fid");
  place.refused("made --conv auto", "--conv must be ours or cudnn");
  place.refused("made --inception-score", "ten splits, there are 4");
  place.refused("made --inception nowhere.pth", "nowhere.pth");
  data::write_png(place / "made/odd.png", picture(1, 50, 64));
  place.refused("made", "images of one size are needed");
  std::ofstream(place / "bad.npz") << "no archive";
  place.refused("bad.npz", "bad.npz");
  io::NpzWriter other(place / "other.npz");
  other.add("x", io::ElementType::f32, {2}, "abcdefgh");
  other.commit();
  place.refused("other.npz",
                "other.npz holds x; read are mu and sigma (statistics, F64 or F32 [D] and [D,D])");
}

TEST_CASE("both sides are looked at before any network: statistics, numbers of images, every picture") {
  Place place;
  write_pictures(place / "made", 0, 4, 16, 16), write_pictures(place / "one", 0, 1, 16, 16);
  put(place / "junk.pth", "no weights");  // which nothing gets as far as
  const auto refused = [&](const std::string& sides, const std::string& part) {
    place.refused(sides + " --inception junk.pth", part);
  };
  const auto a = statistics_of(recipe_features(1, 30, 24));
  auto wrong = a;
  write_statistics(place / "s24.npz", a, false);
  refused("made --reference s24.npz", "made has features of 2048 numbers, s24.npz of 24");
  wrong.mean[3] = std::nan("");
  write_statistics(place / "nan.npz", wrong, false);
  refused("made --reference nan.npz", "nan.npz: mu holds nan (number 3)");
  wrong = a, wrong.covariance[1] += 1;
  write_statistics(place / "crooked.npz", wrong, false);
  refused("made --reference crooked.npz", "crooked.npz: sigma is no covariance: at [1,0]");
  wrong = a, wrong.covariance[0] = -1;
  write_statistics(place / "negative.npz", wrong, false);
  refused("negative.npz", "variance 0 is -1");
  refused("one", "one: one image is too few: every number compares at least two");
  refused("made --reference one", "one: one image is too few");
  fs::copy(place / "made", place / "cut");
  const std::string last = io::read_file(place / "cut/1003.png");
  put(place / "cut/1003.png", last.substr(0, last.size() - 100));
  refused("made --reference cut",
          "cut: 1 of 4 pictures cannot be read; up to one in 20 would be left out. cut/1003.png");
  put(place / "taken", "");
  place.refused("made --html taken/r.html", "--html taken/r.html: there is no folder");
}

TEST_CASE("a few unreadable pictures of many are left out of all numbers, and named") {
  Place place;
  write_pictures(place / "made", 0, 20), write_pictures(place / "whole", 0, 20);
  put(place / "made/1008.gif", "GIF89a");  // has no number, but is counted as well
  put(place / "made/1007x.png", "\x89PNG\r\n\x1a\n");
  const json r = place.evaluate("made");
  CHECK(r.at("about").at("generated").at("images") == 20);
  CHECK(r.at("about").at("generated").at("available") == 21);
  CHECK(r.at("about").at("generated").at("left_out").at(0).at("name") == "1007x.png");
  CHECK(
      contains(place.out, "1 picture(s) of made cannot be read and are left out of all numbers: 1007x.png"));
  CHECK(contains(place.out, "1 GIF"));
  CHECK(r.at("ms_ssim3") == place.evaluate("whole").at("ms_ssim3"));
  put(place / "made/1008x.png", "\x89PNG");
  place.refused("made", "2 of 22 pictures cannot be read");
}

TEST_CASE(
    "arrays in other forms: samples is read, for the rest there is a command that makes an .npz of them") {
  Place place;
  const std::vector<uint8_t> pixels(2 * 48 * 48 * 3, 7);
  const auto write = [&](const std::string& file, const std::string& key, std::vector<int64_t> shape) {
    io::NpzWriter writer(place / file);
    writer.add(key, io::ElementType::u8, shape, pixels.data());
    writer.commit();
  };
  write("samples.npz", "samples", {2, 48, 48, 3}), write("any_ending", "arr_0", {2, 48, 48, 3});
  CHECK(place.evaluate("samples.npz").at("about").at("generated").at("images") == 2);
  CHECK(place.evaluate("any_ending").at("about").at("generated").at("images") == 2);
  write("one.npz", "arr_0", {1, 48, 48, 3}), write("nchw.npz", "arr_0", {2, 3, 48, 48});
  write("grey.npz", "samples", {6, 48, 48, 1}), write("flat.npz", "arr_0", {6, 48, 48});
  place.refused("one.npz", "one image is too few");
  place.refused("nchw.npz",
                "expected images U8 [N,H,W,3]; convert it by  python3 -c \"import sys, pickle, numpy as n; "
                "a = n.load(sys.argv[1])['arr_0']; n.savez(sys.argv[2], a.transpose(0, 2, 3, 1))\" "
                "nchw.npz nchw.read.npz");
  place.refused("grey.npz", "['samples']; n.savez(sys.argv[2], a.repeat(3, 3))");
  place.refused("flat.npz", "a[..., None].repeat(3, 3)");
  const std::vector<float> features(6, NAN);
  io::NpzWriter writer(place / "nan.npz");
  writer.add("pool_3", io::ElementType::f32, {3, 2}, features.data());
  writer.commit();
  place.refused("nan.npz", "pool_3 holds nan (number 0)");
  io::write_npy(place / "images.npy", io::ElementType::u8, {2, 48, 48, 3}, pixels.data());
  place.refused("images.npy", "one array (.npy); of an .npz are read mu and sigma");
  put(place / "stats.pkl", "anything"), put(place / "stats", "\x80\x04\x95.");
  for (const char* pickle : {"stats.pkl", "stats"})
    place.refused(
        pickle,
        "a Python pickle, which is never executed here; where you trust it, convert it by  python3 -c");
}

TEST_CASE("the distance of a set to itself is 0, never below") {
  for (uint32_t seed = 1; seed <= 16; ++seed) {
    const auto s = statistics_of(recipe_features(seed, 40, 24));
    const double distance = frechet_distance(s, s);
    CAPTURE(seed);
    CHECK(distance >= 0);
    CHECK(distance < 1e-6 * trace(s));
  }
}

TEST_CASE("images too small for MS-SSIM-3 are reported as such") {
  Place place;
  write_pictures(place / "made", 0, 4, 32, 32);
  const json r = place.evaluate("made");
  CHECK(r.at("ms_ssim3").is_null());
  CHECK(contains(place.out, "at least 41 pixels"));
}

}  // namespace ito::tests
