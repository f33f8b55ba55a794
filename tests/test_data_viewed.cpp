#include <doctest/doctest.h>

#include <filesystem>

#include "data/dataset.h"
#include "data/pictures/orientation.h"
#include "dataset_helpers.h"

using ito::cat;
using namespace ito::data;
using namespace ito::tests;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> pictures_of_pil() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(pil("viewed")))
    if (entry.path().stem().extension() != ".expected" && entry.path().stem() != "animated")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("WebP, and pictures that EXIF says to turn, are what PIL shows") {
  const std::vector<fs::path> files = pictures_of_pil();
  REQUIRE(files.size() == 15);
  for (const fs::path& file : files) {
    CAPTURE(file.filename());
    const fs::path expected = file.parent_path() / (file.stem().string() + ".expected.png");
    const Image image = decode_image(file), shown = decode_image(expected);
    CHECK(largest_difference(image, shown) == 0);
    const ImageSize size = read_image_size(file);
    CHECK(size.width == image.width);
    CHECK(size.height == image.height);
    const Image stored = decode_image(file, Orientation::stored);
    CHECK(stored.width == 29);
    CHECK(stored.height == 18);
    CHECK(read_image_size(file, Orientation::stored).width == 29);
  }
}

TEST_CASE("a part of a turned picture is that part of what is shown") {
  for (const fs::path& file : pictures_of_pil()) {
    CAPTURE(file.filename());
    const std::vector<uint8_t> bytes = read_bytes(file);
    const Image whole = decode_image(file);
    for (const Rectangle place :
         {Rectangle{0, 0, 5, 7}, {3, 11, 10, 4}, {whole.width - 2, whole.height - 9, 2, 9}}) {
      const ImagePart some = decode_part(bytes.data(), bytes.size(), "picture", [&](ImageSize all) {
        CHECK(all.width == whole.width);
        CHECK(all.height == whole.height);
        return place;
      });
      REQUIRE(some.part.width == place.width);
      REQUIRE(some.part.height == place.height);
      for (int y = 0; y < place.height; ++y) {
        const uint8_t* expected = whole.pixel(place.left, place.top + y);
        CHECK(std::equal(expected, expected + 3 * place.width,
                         some.image.pixel(some.part.left, some.part.top + y)));
      }
    }
  }
}

TEST_CASE("EXIF that is damaged turns nothing") {
  using namespace std::string_view_literals;
  const std::string_view good = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"sv;
  CHECK(exif_orientation(good) == 6);
  for (size_t size = 0; size < good.size(); ++size) CHECK(exif_orientation(good.substr(0, size)) == 1);
  CHECK(exif_orientation("MM\0*\xff\xff\xff\xff\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"sv) == 1);
  CHECK(exif_orientation("II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"sv) == 8);
  CHECK(exif_orientation("XX*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"sv) == 1);
  for (const int none : {0, 1, 9, 65535}) CHECK(turn_of(none).is_none());
  for (const PictureFormat format : {PictureFormat::jpeg, PictureFormat::png, PictureFormat::webp})
    for (const std::string_view start :
         {""sv, "\xff\xd8"sv, "\xff\xd8\xff\xe1\xff\xff"sv, "\x89PNG\r\n\x1a\n\xff\xff\xff\xff"sv,
          "RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xffMM"sv})
      CHECK(turn_of(start, format).is_none());
}

TEST_CASE("a WebP that is cut off, animated or too large says so") {
  CHECK(contains(error_of([] { decode_image(pil("viewed/animated.webp")); }),
                 "an animated WebP; save one picture"));
  for (const char* name :
       {"viewed/webp_lossy.webp", "viewed/webp_lossless.webp", "viewed/webp_clear_lossy.webp"}) {
    const std::string whole = text_of(read_bytes(pil(name)));
    for (size_t size = 12; size + 1 < whole.size(); ++size) {
      const std::string error = error_in(whole.substr(0, size));
      if (!contains(error, "picture: unreadable WebP"))
        FAIL_CHECK(name, " cut after ", size, " bytes: '", error, "'");
    }
  }
  // Lossless of 16383x16383: the size is stored in 28 bits behind the mark of the format.
  const std::string huge = std::string("RIFF\x12\0\0\0WEBPVP8L\x06\0\0\0\x2f\xfe\xbf\xff\x0f\0", 26);
  CHECK(contains(error_in(huge), "16383x16383 pixels; at most 100 million are read"));
  const std::string large = std::string("RIFF\x12\0\0\0WEBPVP8L\x06\0\0\0\x2f\x0f\xe7\xc3\x09\0", 26);
  CHECK(contains(error_in(large), "MiB to decode; at most 400 are used"));
}

TEST_CASE("a data set is upright unless it is wanted as it is stored") {
  const TempFolder folder;
  fs::create_directories(folder / "set");
  for (const int orientation : {1, 6}) {
    const std::string name = cat("jpeg_", orientation, ".jpg");
    fs::copy(pil("viewed/" + name), folder / "set" / name);
  }
  DatasetOptions options = options_for(folder, 16, 16);
  const Dataset upright = open_dataset(folder / "set", options);
  options.orientation = Orientation::stored;
  const Dataset stored = open_dataset(folder / "set", options);
  const size_t bytes = 16 * 16 * 3;
  CHECK(std::equal(upright.pixels(), upright.pixels() + bytes, stored.pixels()));
  CHECK(std::equal(stored.pixels(), stored.pixels() + bytes, stored.pixels() + bytes));
  CHECK_FALSE(std::equal(upright.pixels(), upright.pixels() + bytes, upright.pixels() + bytes));
  CHECK(upright.fingerprint() != stored.fingerprint());
}
