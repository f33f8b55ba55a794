#include <doctest/doctest.h>

#include "data/celeba_files/celeba.h"
#include "data/dataset.h"
#include "data/faces/drawn_faces.h"
#include "data/list_pictures.h"
#include "data_helpers.h"
#include "program.h"

using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kCount = 16, kSeed = 5;
const std::vector<std::string> kLayouts = {"official", "folders", "torchvision", "kaggle", "zip"};

FaceSetResult draw(const fs::path& folder, const std::string& layout, uint64_t count = kCount,
                   uint64_t seed = kSeed) {
  FaceSetOptions options;
  options.count = count, options.seed = seed, options.threads = 2;
  options.layout = ito::parse_name<FaceLayout>(layout);
  return write_face_set(folder, options);
}

/// All five sets, drawn once.
const TempFolder& sets() {
  static const TempFolder folder;
  static const bool drawn = [&] {
    for (const std::string& layout : kLayouts) draw(folder / layout, layout);
    return true;
  }();
  (void)drawn;
  return folder;
}

std::string names_in(const fs::path& folder) {
  std::string names;
  for (const auto& [name, bytes] : contents_of(folder))
    if (!name.ends_with("/") && (!name.ends_with(".jpg") || name.ends_with("000001.jpg")))
      names += name + " ";
  return names;
}

}  // namespace

TEST_CASE("each layout has its files where its source has them") {
  CHECK(names_in(sets() / "official") ==
        "identity_CelebA.txt img_align_celeba/000001.jpg list_attr_celeba.txt list_eval_partition.txt "
        "list_landmarks_align_celeba.txt ");
  CHECK(names_in(sets() / "folders") ==
        "Anno/identity_CelebA.txt Anno/list_attr_celeba.txt Anno/list_landmarks_align_celeba.txt "
        "Eval/list_eval_partition.txt Img/img_align_celeba/000001.jpg ");
  CHECK(names_in(sets() / "torchvision") ==
        "celeba/identity_CelebA.txt celeba/img_align_celeba/000001.jpg celeba/list_attr_celeba.txt "
        "celeba/list_eval_partition.txt celeba/list_landmarks_align_celeba.txt ");
  CHECK(names_in(sets() / "kaggle") ==
        "img_align_celeba/img_align_celeba/000001.jpg list_attr_celeba.csv list_eval_partition.csv "
        "list_landmarks_align_celeba.csv ");
  CHECK(names_in(sets() / "zip") ==
        "identity_CelebA.txt img_align_celeba.zip list_attr_celeba.txt list_eval_partition.txt "
        "list_landmarks_align_celeba.txt ");
  const auto start = [&](const char* name, const std::string& text) {
    return ito::io::read_file(sets() / name).compare(0, text.size(), text) == 0;
  };
  CHECK(start("kaggle/list_attr_celeba.csv", "image_id,5_o_Clock_Shadow,Arched_Eyebrows,"));
  CHECK(start("kaggle/list_eval_partition.csv", "image_id,partition\n000001.jpg,0\n"));
  CHECK(start("official/identity_CelebA.txt", "000001.jpg 1\n000002.jpg 2\n"));
  CHECK(start("official/list_landmarks_align_celeba.txt", "16\nlefteye_x lefteye_y righteye_x "));
}

TEST_CASE("every layout is read as the same pictures, splits and lists") {
  for (const std::string& layout : kLayouts) {
    CAPTURE(layout);
    for (const char* split : {"train", "valid", "test", "all"}) {
      const ImageList expected = list_pictures(sets() / "official", split);
      const ImageList list = list_pictures(sets() / layout, split);
      CHECK(list.kind == "celeba");
      CHECK(list.notes.empty());
      REQUIRE(list.names == expected.names);
      for (const std::string& name : list.names)
        CHECK((list.source->read(name) == expected.source->read(name)));
    }
    const ImageList list = list_pictures(sets() / layout, "all");
    REQUIRE(list.names.size() == kCount);
    const Attributes attributes = read_attributes(list.attribute_list, list.names);
    const std::vector<int32_t> landmarks = read_landmarks(list.landmark_list, list.names);
    CHECK(list.identity_list.empty() == (layout == "kaggle"));
    const std::vector<int32_t> people =
        layout == "kaggle" ? std::vector<int32_t>() : read_identities(list.identity_list, list.names);
    REQUIRE(attributes.names.size() == kFaceAttributes);
    for (uint64_t i = 0; i < kCount; ++i) {
      const auto traits = face_traits(kSeed, i);
      const auto true_attributes = face_attributes(traits);
      const auto true_landmarks = face_landmarks(traits);
      for (size_t k = 0; k < kFaceAttributes; ++k)
        CHECK(attributes.values[i * kFaceAttributes + k] == true_attributes[k]);
      for (size_t k = 0; k < kLandmarks; ++k) CHECK(landmarks[i * kLandmarks + k] == true_landmarks[k]);
      if (!people.empty()) CHECK(people[i] == int32_t(i + 1));
    }
  }
}

TEST_CASE("every layout is decoded into the same images, the official PNGs, too") {
  const ImageList official = list_pictures(sets() / "official", "all");
  const fs::path png = sets() / "png";
  fs::create_directories(png / "img_align_celeba_png");
  for (const std::string& name : official.names) {
    const std::vector<uint8_t> jpeg = official.source->read(name);
    write_png(png / "img_align_celeba_png" / (name.substr(0, 6) + ".png"),
              decode_image(jpeg.data(), jpeg.size(), name));
  }
  for (const char* list : {"list_attr_celeba.txt", "list_eval_partition.txt"})
    fs::copy_file(sets() / "official" / list, png / list);
  DatasetOptions options;
  options.height = options.width = 16, options.cache_dir = sets() / "cache", options.crop = "c140";
  const Dataset expected = open_dataset(sets() / "official", options);
  CHECK(expected.crop() == "c140");
  CHECK(expected.count() == 13);
  REQUIRE(expected.identities().size() == 13);
  for (size_t i = 0; i < 13; ++i) CHECK(expected.identities()[i] == int32_t(i + 1));
  CHECK(expected.landmarks() == read_landmarks(official.landmark_list, expected.names()));
  const Dataset again = open_dataset(sets() / "official", options);  // from the cache
  CHECK(again.identities() == expected.identities());
  CHECK(again.landmarks() == expected.landmarks());
  for (const std::string& named :
       {std::string("folders/Img"), std::string("torchvision"), std::string("torchvision/celeba"),
        std::string("kaggle"), std::string("kaggle/img_align_celeba"), std::string("zip"),
        std::string("zip/img_align_celeba.zip"), std::string("png")}) {
    CAPTURE(named);
    const Dataset dataset = open_dataset(sets() / named, options);
    CHECK(dataset.content_hash() == expected.content_hash());
    CHECK(dataset.attributes() == expected.attributes());
    CHECK((named == "png" ? dataset.landmarks().empty() : dataset.landmarks() == expected.landmarks()));
    CHECK(dataset.identities().empty() == (named == "png" || named.starts_with("kaggle")));
    CHECK(dataset.skipped().empty());
    CHECK(dataset.notes().empty());
  }
}

TEST_CASE("a set in any layout is extended, and equals one drawn at once") {
  for (const std::string& layout : kLayouts) {
    CAPTURE(layout);
    const TempFolder folder;
    draw(folder / "grown", layout, 5);
    const FaceSetResult result = draw(folder / "grown", layout, kCount);
    CHECK(result.kept == 5);
    CHECK(result.drawn == kCount - 5);
    CHECK(draw(folder / "grown", layout, kCount).drawn == 0);
    CHECK((contents_of(folder / "grown") == contents_of(sets() / layout)));
    CHECK(contains(error_of([&] { draw(folder / "grown", layout, kCount, 6); }), "not those of seed 6"));
    CHECK(contains(error_of([&] { draw(folder / "grown", layout, 4); }), "holds more than 4 faces"));
    for (const std::string& other : kLayouts) {
      if (other == layout) continue;
      CHECK(contains(error_of([&] { draw(folder / "grown", other, kCount); }),
                     "which is not part of a set of drawn faces in layout " + other));
    }
    CHECK((contents_of(folder / "grown") == contents_of(sets() / layout)));
  }
  const TempFolder folder;
  put(folder / "img_align_celeba.zip", "PK");
  CHECK(contains(error_of([&] { draw(folder.path(), "zip"); }), "img_align_celeba.zip: not a zip archive"));
}

TEST_CASE("damage in an archive is one picture's, and named") {
  const TempFolder folder;
  fs::copy(sets() / "zip", folder / "zip");
  const fs::path path = folder / "zip/img_align_celeba.zip";
  std::string bytes = ito::io::read_file(path);
  const ito::io::ZipReader zip(path);
  bytes[zip.find("img_align_celeba/000003.jpg")->end - 100] ^= 1;
  fs::remove(path);  // the reader above still has the old file
  put(path, bytes);
  const ImageList list = list_pictures(folder / "zip", "all");
  CHECK(contains(error_of([&] { list.source->read("000003.jpg"); }),
                 "img_align_celeba.zip/img_align_celeba/000003.jpg: its checksum is wrong"));
  CHECK(list.source->read("000004.jpg").size() > 1000);
  put(path, bytes.substr(0, bytes.size() - 50));
  CHECK(contains(error_of([&] { list_pictures(folder / "zip", "all"); }), "breaks off: its end is missing"));
}

TEST_CASE("the program draws each layout, and offers the nearest name") {
  const TempFolder folder;
  const auto run = [&](const std::string& arguments) {
    return run_program(folder.path(), "make_faces " + arguments);
  };
  const std::string seed = " --count 16 --seed 5";
  CHECK(contains(run("set" + seed + " --layout kaggel").err, "did you mean \"kaggle\"?"));
  CHECK_FALSE(fs::exists(folder / "set"));
  REQUIRE(run("set" + seed + " --layout zip").code == 0);
  CHECK((contents_of(folder / "set") == contents_of(sets() / "zip")));
}
