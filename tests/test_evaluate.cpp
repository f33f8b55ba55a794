#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/io/safetensors.h"
#include "feature_recipe.h"
#include "model/metrics/inception.h"
#include "model/metrics/lpips.h"
#include "model/metrics/ms_ssim.h"
#include "model/metrics/pixel_features.h"
#include "model/metrics/random_pairs.h"
#include "tests/evaluation_helpers.h"
#include "tests/program.h"

/// ./evaluate as a user runs it: every form of a side, its numbers against the metrics themselves, files,
/// refusals.
namespace ito::tests {
namespace {

namespace fs = std::filesystem;
using doctest::Approx;
using nlohmann::json;

/// A folder of its own for each test case; commands run inside it.
struct EvaluateFolder : TempFolder {
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

/// The mean of 1 - MS-SSIM-3 that ./evaluate must find for pictures first ... first + count - 1.
model::MeanAndError similarity_of(int first, int count, int64_t pairs, uint64_t seed) {
  std::vector<double> values;
  for (const auto& [a, b] : model::random_pairs(count, pairs, seed))
    values.push_back(model::ms_ssim3(picture(first + int(a), 64, 64).rgb.data(),
                                     picture(first + int(b), 64, 64).rgb.data(), 64, 64));
  return model::mean_and_error(values);
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
  EvaluateFolder place;
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
                          "diversity", "ms_ssim3", "vendi", "fd_pixels8", "fd_pixels8_floor"}) {
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
  EvaluateFolder place;
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
  const json r = place.evaluate(
      "run --reference real --count 5 --sampler dpm++2m-sde --evaluations 3 --inception i.safetensors");
  CHECK(r.at("fid").get<double>() == Approx(measured[1].second).epsilon(1e-9));
  CHECK(place.run("train_celeba real --inception i.safetensors") == 1);
  CHECK(contains(place.err, "--inception does nothing without --fid-every N"));
  CHECK(place.run("train_celeba real --fid-every -3") == 1);
  CHECK(contains(place.err, "--fid-every must be a whole number from 0 to"));
  CHECK(place.run(train) == 1);
  CHECK(contains(place.err,
                 "--fid-every needs the FID network. --inception: download pt_inception-2015-12-05"));
}

TEST_CASE("two folders without weights: what needs none is measured, and where to get the rest is printed") {
  EvaluateFolder place;
  write_pictures(place / "made", 0, 20), write_pictures(place / "real", 50, 31);
  const json r = place.evaluate("made --reference real --seed 3 --html r.html");
  const model::MeanAndError ours = similarity_of(0, 20, 10000, 3), real = similarity_of(50, 31, 10000, 3);
  CHECK(r.at("ms_ssim3").get<double>() == Approx(ours.mean).epsilon(1e-12));
  const json& about = r.at("about").at("figures").at("ms_ssim3");
  CHECK(about.at("spread").get<double>() == Approx(ours.error).epsilon(1e-12));
  CHECK(about.at("reference").get<double>() == Approx(real.mean).epsilon(1e-12));
  CHECK(about.at("ratio").get<double>() == Approx((1 - ours.mean) / (1 - real.mean)).epsilon(1e-12));
  const auto means = [](int first, int count) {
    model::FeatureSums sums(model::kPixelFeatures);
    for (int i = first; i < first + count; ++i) {
      float features[model::kPixelFeatures];
      model::pixel_features(picture(i, 64, 64).rgb.data(), 64, 64, features);
      sums.add({features, 1, model::kPixelFeatures});
    }
    return sums.statistics();
  };
  CHECK(r.at("fd_pixels8").get<double>() ==
        Approx(frechet_distance(means(0, 20), means(50, 31))).epsilon(1e-9));
  CHECK(r.at("fd_pixels8_floor").is_number());
  CHECK(contains(place.out, "FD-pixels8 "));
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

TEST_CASE("statistics of others are compared without weights, stored or deflated") {
  EvaluateFolder place;
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

TEST_CASE("a checkpoint is sampled in memory: the files of ./sample give the same numbers") {
  EvaluateFolder place;
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
  EvaluateFolder place;
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
}

TEST_CASE("what cannot be measured is refused in one line, before the work") {
  EvaluateFolder place;
  write_pictures(place / "made", 0, 4), write_pictures(place / "small", 0, 4, 48, 48);
  place.refused("nowhere", "nowhere: there is no such file or folder");
  put(place / "junk.pth", "no weights");  // the sides are looked at first
  place.refused("made --reference small --inception junk.pth", "made has size 64x64, small has size 48x48");
  place.refused("made --save-stats s.npz", "pt_inception-2015-12-05-6726825d.pth");
  place.refused("made --json nowhere/r.json", "there is no folder");
  place.refused("made --count 1", "--count must be a whole number from 2");
  place.refused("made --inceptoin x", "did you mean --inception?");
  place.refused("made --alexnet x.pth", "LPIPS needs both");
  place.refused("made --resize bicubic", "pytorch-fid");
  place.refused("made --conv auto", "--conv must be ours or cudnn");
  place.refused("made --inception-score", "ten splits, and there are only 4");
  place.refused("made --inception nowhere.pth", "nowhere.pth");
  put(place / "taken", "");
  place.refused("made --html taken/r.html", "--html taken/r.html: there is no folder");
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

}  // namespace ito::tests
