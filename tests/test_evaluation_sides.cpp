#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/evaluation/report.h"
#include "apps/evaluation/sides.h"
#include "engine/io/npy.h"
#include "evaluation_helpers.h"
#include "model/training/run_page.h"

/// The sides of an evaluation: what is opened, what is refused, how it is reported.
namespace ito::apps {
namespace {

using namespace tests;
using nlohmann::json;

/// A folder with sides in it, opened by name.
struct SidesFolder : TempFolder {
  SideOptions options;
  engine::Device device;

  SidesFolder() { options.cache = (path() / "cache").string(), options.threads = 1; }
  std::string at(const std::string& name) const { return (path() / name).string(); }
  Side open(const std::string& name) { return open_side(at(name), options, device); }
  std::string refusal(const std::string& name) {
    return error_of([&] { open(name); });
  }
  void write(const std::string& file, const std::string& key, const std::vector<int64_t>& shape,
             const void* values, io::ElementType type = io::ElementType::u8) const {
    io::NpzWriter writer(path() / file);
    writer.add(key, type, shape, values);
    writer.commit();
  }
};

std::vector<uint8_t> image_of(const Side& side, int64_t i) {
  std::vector<uint8_t> pixels(side.images->bytes());
  side.images->read(i, pixels.data());
  return pixels;
}

/// Networks that are all missing.
const MetricNetworks kNoNetworks{{}, {}, "needs weights", "needs weights"};

std::optional<double> similarity_of(const Side& side) {
  EvaluationOptions options;
  options.threads = 1;
  for (const Figure& f : evaluate(side, nullptr, kNoNetworks, options).figures)
    if (f.key == "ms_ssim3") return f.value;
  return {};
}

std::string comparison(const Side& a, const Side& b) {
  return error_of([&] { check_comparable(a, b); });
}

}  // namespace

TEST_CASE("of more images than are wanted the seed chooses some, the same again, in their order") {
  SideOptions options;
  options.count = 12;
  CHECK(chosen_images(3, options) == std::vector<int64_t>{0, 1, 2});
  const std::vector<int64_t> chosen = chosen_images(30, options);
  CHECK(chosen == chosen_images(30, options));
  CHECK(std::is_sorted(chosen.begin(), chosen.end()));
  CHECK(std::set<int64_t>(chosen.begin(), chosen.end()).size() == 12);
  CHECK((chosen.front() >= 0 && chosen.back() < 30));
  options.seed = 1;
  CHECK(chosen != chosen_images(30, options));
}

TEST_CASE("a folder of pictures: its images, and nothing that it does not know") {
  SidesFolder place;
  write_pictures(place / "made", 0, 30, 48, 64);
  const Side all = place.open("made");
  CHECK(all.identity.kind == "folder");
  CHECK((!all.identity.crop && !all.identity.split && !all.features && !all.statistics));
  REQUIRE(all.images);
  CHECK((all.images->size().height == 48 && all.images->size().width == 64));
  CHECK((all.used == 30 && all.available == 30));
  CHECK(all.images->name(7) == "1007.png");
  CHECK(image_of(all, 7) == picture(7, 48, 64).rgb);
  CHECK(side_text(all) == "folder " + place.at("made") + ": 30 images, 48x64");
  place.options.count = 12;
  const Side some = place.open("made");
  const int64_t third = chosen_images(30, place.options)[3];
  CHECK(some.images->name(3) == all.images->name(third));
  CHECK(image_of(some, 3) == image_of(all, third));
  CHECK(side_text(some) == "folder " + place.at("made") + ": 12 images of 30, 48x64");
}

TEST_CASE("a few unreadable pictures of many are left out of all numbers, and named") {
  SidesFolder place;
  write_pictures(place / "made", 0, 20), write_pictures(place / "whole", 0, 20);
  put(place / "made/1008.gif", "GIF89a");  // of another format: no picture that could be expected
  put(place / "made/1007x.png", "\x89PNG\r\n\x1a\n");
  const Side side = place.open("made");
  CHECK((side.used == 20 && side.available == 21));
  REQUIRE(side.left_out.size() == 1);
  CHECK(side.left_out[0].name == "1007x.png");
  REQUIRE(side.notes.size() == 2);
  CHECK(contains(side.notes[0], "1 GIF"));
  CHECK(contains(side.notes[1], "1 picture(s) of " + place.at("made")));
  CHECK(contains(side.notes[1], "left out of all numbers: 1007x.png"));
  REQUIRE(similarity_of(side));
  CHECK(similarity_of(side) == similarity_of(place.open("whole")));
  put(place / "made/1008x.png", "\x89PNG");
  CHECK(
      contains(place.refusal("made"), "2 of 22 pictures cannot be read; up to one in 20 would be left out"));
}

TEST_CASE("what is no side is refused") {
  SidesFolder place;
  CHECK(contains(place.refusal("nowhere"), "nowhere: there is no such file or folder"));
  write_pictures(place / "one", 0, 1, 16, 16);
  CHECK(contains(place.refusal("one"), "one: one image is too few: every number compares at least two"));
  write_pictures(place / "made", 0, 4);
  data::write_png(place / "made/odd.png", picture(1, 50, 64));
  CHECK(
      contains(place.refusal("made"), "odd.png is 50x64, 1000.png is 64x64: images of one size are needed"));
  std::filesystem::create_directories(place / "run/checkpoints");
  CHECK(contains(place.refusal("run"), "run: the run has no checkpoint yet"));
  put(place / "bad.npz", "no archive");
  CHECK(contains(place.refusal("bad.npz"), "bad.npz"));
  place.write("other.npz", "x", {2}, "abcdefgh", io::ElementType::f32);
  CHECK(contains(place.refusal("other.npz"),
                 "other.npz holds x; read are mu and sigma (statistics, F64 or F32 [D] and [D,D])"));
}

TEST_CASE("images in an .npz are the folder's") {
  SidesFolder place;
  write_pictures(place / "made", 0, 9);
  std::vector<uint8_t> pixels;
  for (int i = 0; i < 9; ++i) {
    const data::Image image = picture(i, 64, 64);
    pixels.insert(pixels.end(), image.rgb.begin(), image.rgb.end());
  }
  for (const auto& [file, key] :
       {std::pair("made.npz", "arr_0"), {"sampled.npz", "samples"}, {"any", "arr_0"}}) {
    place.write(file, key, {9, 64, 64, 3}, pixels.data());
    for (const int64_t count : {9, 5}) {
      place.options.count = count;
      const Side array = place.open(file), folder = place.open("made");
      CHECK(array.identity.kind == "images");
      CHECK((array.used == count && array.available == 9));
      for (int64_t i = 0; i < count; ++i) CHECK(image_of(array, i) == image_of(folder, i));
      CHECK(array.images->name(count - 1) == cat("image ", chosen_images(9, place.options).back()));
    }
  }
}

TEST_CASE("arrays of other forms are refused, with a command that makes an .npz of them") {
  SidesFolder place;
  const std::vector<uint8_t> pixels(2 * 48 * 48 * 3, 7);
  place.write("one.npz", "arr_0", {1, 48, 48, 3}, pixels.data());
  place.write("nchw.npz", "arr_0", {2, 3, 48, 48}, pixels.data());
  place.write("grey.npz", "samples", {6, 48, 48, 1}, pixels.data());
  place.write("flat.npz", "arr_0", {6, 48, 48}, pixels.data());
  CHECK(contains(place.refusal("one.npz"), "one image is too few"));
  CHECK(contains(place.refusal("nchw.npz"),
                 "expected images U8 [N,H,W,3]; convert it by  python3 -c \"import sys, pickle, numpy as n; "
                 "a = n.load(sys.argv[1])['arr_0']; n.savez(sys.argv[2], a.transpose(0, 2, 3, 1))\" " +
                     place.at("nchw.npz") + " " + place.at("nchw.read.npz")));
  CHECK(contains(place.refusal("grey.npz"), "['samples']; n.savez(sys.argv[2], a.repeat(3, 3))"));
  CHECK(contains(place.refusal("flat.npz"), "a[..., None].repeat(3, 3)"));
  const std::vector<float> features(6, NAN);
  place.write("nan.npz", "pool_3", {3, 2}, features.data(), io::ElementType::f32);
  CHECK(contains(place.refusal("nan.npz"), "pool_3 holds nan (number 0)"));
  io::write_npy(place / "images.npy", io::ElementType::u8, {2, 48, 48, 3}, pixels.data());
  CHECK(contains(place.refusal("images.npy"), "one array (.npy); of an .npz are read mu and sigma"));
  put(place / "stats.pkl", "anything"), put(place / "stats", "\x80\x04\x95.");
  for (const char* pickle : {"stats.pkl", "stats"})
    CHECK(contains(
        place.refusal(pickle),
        "a Python pickle, which is never executed here; where you trust it, convert it by  python3 -c"));
}

TEST_CASE("stored statistics and features: what they are, and what cannot be") {
  SidesFolder place;
  const auto a = statistics_of(recipe_features(1, 30, 24));
  const auto refusal = [&](auto change) {
    auto wrong = a;
    change(wrong);
    write_statistics(place / "wrong.npz", wrong, false);
    return place.refusal("wrong.npz");
  };
  write_statistics(place / "a.npz", a, true);
  const Side statistics = place.open("a.npz");
  REQUIRE(statistics.statistics);
  CHECK(statistics.statistics->mean == a.mean);
  CHECK((!statistics.images && !statistics.features && statistics.used == 0));
  CHECK(side_text(statistics) == "statistics " + place.at("a.npz"));
  CHECK(contains(refusal([](auto& s) { s.mean[3] = std::nan(""); }), "wrong.npz: mu holds nan (number 3)"));
  CHECK(contains(refusal([](auto& s) { s.covariance[1] += 1; }), "sigma is no covariance: at [1,0]"));
  CHECK(contains(refusal([](auto& s) { s.covariance[0] = -1; }), "variance 0 is -1"));
  const RecipeFeatures x = recipe_features(1, 30, 24);
  place.write("raw.npz", "pool_3", {30, 24}, x.values.data(), io::ElementType::f32);
  const Side raw = place.open("raw.npz");
  REQUIRE(raw.features);
  CHECK((raw.features->width == 24 && raw.features->values == x.values && !raw.images && !raw.statistics));
  CHECK(side_text(raw) == "features " + place.at("raw.npz") + ": 30 rows");
}

TEST_CASE(
    "sides of another size, crop or network are refused, with both; what is not known is not compared") {
  SidesFolder place;
  write_pictures(place / "made", 0, 4), write_pictures(place / "small", 0, 4, 48, 48);
  write_statistics(place / "s24.npz", statistics_of(recipe_features(1, 30, 24)), false);
  write_statistics(place / "s32.npz", statistics_of(recipe_features(1, 40, 32)), false);
  Side made = place.open("made");
  const Side statistics = place.open("s24.npz");
  CHECK(contains(comparison(made, place.open("small")),
                 "made has size 64x64, " + place.at("small") + " has size 48x48"));
  CHECK(contains(comparison(made, statistics),
                 "made has features of 2048 numbers, " + place.at("s24.npz") + " of 24"));
  CHECK(contains(comparison(statistics, place.open("s32.npz")), "of 32: they are of different networks"));
  CHECK(comparison(statistics, statistics) == "");
  Side other = made;
  other.identity.crop = "c148";
  CHECK(comparison(made, other) == "");
  made.identity.crop = "ddim128";
  CHECK(contains(comparison(made, other), "made has crop ddim128, " + place.at("made") + " has crop c148"));
}

TEST_CASE("CelebA is cut as the other side is, unless something else is asked for") {
  SidesFolder place;
  const std::filesystem::path tree = place / "celeba/img_align_celeba";
  std::filesystem::create_directories(tree);
  for (int i = 1; i <= 6; ++i) data::write_jpeg(tree / cat("00000", i, ".jpg"), picture(i, 218, 178));
  Side side = place.open("celeba");
  CHECK(
      (side.identity.kind == "celeba" && side.identity.crop == "ddim128" && side.identity.split == "train"));
  CHECK((side.images->size().height == 64 && side.images->name(0) == "000001.jpg"));
  place.options.known_crop = "c148", place.options.known_size = "48x48";
  side = place.open("celeba");
  CHECK(side.identity.crop == "c148");
  CHECK((side.images->size().height == 48 && side.images->size().width == 48));
  place.options.crop = "c140", place.options.size = "16";
  side = place.open("celeba");
  CHECK((side.identity.crop == "c140" && side.images->size().width == 16));
}

TEST_CASE("images too small for MS-SSIM-3 have none, and the report says why") {
  SidesFolder place;
  write_pictures(place / "made", 0, 4, 32, 32);
  const Side side = place.open("made");
  EvaluationReport report;
  report.generated = &side;
  report.evaluation = evaluate(side, nullptr, kNoNetworks, {});
  CHECK(contains(report_text(report),
                 "1 - MS-SSIM-3        n/a    images of at least 41 pixels a side are needed\n"));
  CHECK(json::parse(report_json(report)).at("ms_ssim3").is_null());
}

TEST_CASE("the report: what identifies the sides, a row a figure, and only what is known in the JSON") {
  SidesFolder place;
  write_pictures(place / "made", 0, 4, 16, 16);
  write_statistics(place / "real.npz", statistics_of(recipe_features(1, 30, 24)), false);
  Side made = place.open("made");
  const Side real = place.open("real.npz");
  made.identity.crop = "c148", made.identity.facts = {{"step", "5"}};
  made.left_out = {{"bad.png", "unreadable"}};
  EvaluationReport report;
  report.generated = &made, report.reference = &real;
  report.facts = {{"seed", "3"}}, report.notes = {"a sentence"};
  Figure fid, kid;
  fid.key = "fid", fid.label = "FID-4", fid.value = 12.34567, fid.real = 2.0, fid.note = "note";
  kid.key = "kid", kid.label = "KID x 1000", kid.factor = 1000, kid.value = -1e-9, kid.spread = 0.002;
  report.evaluation.figures = {fid, kid};
  CHECK(report_text(report) ==
        cat("generated            folder ", place.at("made"),
            ": 4 images, 16x16, crop c148\n"
            "  step               5\n"
            "reference            statistics ",
            place.at("real.npz"),
            "\n"
            "seed                 3\n"
            "\n"
            "                     generated           reference           ratio\n"
            "FID-4                12.346              2.0000              6.1728   note\n"
            "KID x 1000           0.0000 +- 2.0000\n"
            "note                 a sentence\n"));
  const json j = json::parse(report_json(report)), &about = j.at("about");
  CHECK(j.at("fid") == 12.34567);
  CHECK(about.at("generated") == json{{"place", place.at("made")},
                                      {"kind", "folder"},
                                      {"images", 4},
                                      {"available", 4},
                                      {"height", 16},
                                      {"width", 16},
                                      {"crop", "c148"},
                                      {"step", "5"},
                                      {"left_out", {{{"name", "bad.png"}, {"reason", "unreadable"}}}}});
  CHECK(about.at("reference") ==
        json{{"place", place.at("real.npz")}, {"kind", "statistics"}, {"images", 0}, {"available", 0}});
  CHECK(about.at("figures").at("kid") == json{{"spread", 0.002}});
  CHECK(about.at("notes") == json{"a sentence"});
  const std::string page = report_page(report, 1);
  CHECK(contains(page, model::page_style()));
  CHECK(contains(page, "<tr><td>FID-4</td><td class=\"number\">12.346</td><td class=\"number\">2.0000</td>"));
  for (const char* outside : {"src=\"http", " href=", "url(", "@import"})
    CHECK_FALSE(contains(page, outside));
}

}  // namespace ito::apps
