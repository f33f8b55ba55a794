#include <doctest/doctest.h>

#include "data/pictures/contact_sheet.h"
#include "data/pictures/image.h"
#include "data_helpers.h"

using namespace ito::data;
using namespace ito::tests;

TEST_CASE("JPEGs decode to PIL's pixels") {
  const Image photo = decode_image(pil("photo.jpg"));
  REQUIRE(photo.width == 178);
  REQUIRE(photo.height == 218);
  const Image corner = decode_image(pil("photo_corner.png"));
  Image cut(48, 48);
  for (int y = 0; y < 48; ++y) std::copy_n(photo.pixel(130, 170 + y), 48 * 3, cut.pixel(0, y));
  CHECK(largest_difference(cut, corner) == 0);  // 4:2:0, the right and lower edge, where blocks are cut
  CHECK(largest_difference(decode_image(pil("grey.jpg")), decode_image(pil("grey_expected.png"))) == 0);
  CHECK(largest_difference(decode_image(pil("progressive.jpg")),
                           decode_image(pil("progressive_expected.png"))) == 0);
}

TEST_CASE("JPEGs and PNGs of every kind decode to PIL's pixels") {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(pil("kinds"))) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() == 39);
  const Image expected = decode_image(pil("kinds_expected.png"));
  int y = 0;
  for (const std::filesystem::path& file : files) {
    CAPTURE(file.filename());
    const Image image = decode_image(file);
    Image part(expected.width, image.height);
    std::copy_n(expected.pixel(0, y), part.rgb.size(), part.rgb.data());
    CHECK(largest_difference(image, part) == 0);
    y += image.height;
  }
  CHECK(y == expected.height);
}

TEST_CASE("PNGs of every kind become RGB") {
  CHECK(largest_difference(decode_image(pil("palette.png")), decode_image(pil("palette_expected.png"))) == 0);
  const Image grey16 = decode_image(pil("grey16.png"));
  REQUIRE(grey16.width == 16);
  for (int x = 0; x < 16; ++x) {
    for (int c = 0; c < 3; ++c) CHECK(int(grey16.pixel(x, 0)[c]) == 17 * x);
  }
  const Image over_white = decode_image(pil("rgba.png"));
  const std::vector<uint8_t> expected = {255, 0,   0,   255, 255, 255, 132, 137, 142,
                                         254, 254, 254, 1,   1,   1,   244, 224, 214};
  CHECK(over_white.rgb == expected);
}

TEST_CASE("PGM and PPM: comments, 16 bits, any largest value") {
  const std::string header = "P5 # a comment\n# another\n 2\t3\n255\n";
  const Image grey = decode(header + std::string("\x00\x01\x7f\x80\xfe\xff", 6));
  CHECK(grey.width == 2);
  CHECK(grey.height == 3);
  CHECK(grey.rgb ==
        std::vector<uint8_t>{0, 0, 0, 1, 1, 1, 127, 127, 127, 128, 128, 128, 254, 254, 254, 255, 255, 255});
  CHECK(decode("P6 1 1 255 abc").rgb == std::vector<uint8_t>{'a', 'b', 'c'});
  CHECK(decode("P5 3 1 4 \x01\x02\x04").rgb ==
        std::vector<uint8_t>{64, 64, 64, 128, 128, 128, 255, 255, 255});
  CHECK(decode("P5 1 1 65535 \x80\x80").rgb == std::vector<uint8_t>{128, 128, 128});
  CHECK(contains(error_in("P5 2 2 255 abc"), "14 bytes where its header promises 15"));
  CHECK(contains(error_in("P5 2 x 255 abcd"), "bad number"));
  CHECK(contains(error_in("P5 2 2 99999999999 abcd"), "bad number"));
  CHECK(contains(error_in("P5 2 2 0 abcd"), "largest value 0"));
  CHECK(contains(error_in("P5 0 2 255 abcd"), "0x2"));
}

TEST_CASE("what is no picture is called by its name") {
  CHECK(contains(error_in(""), "empty file"));
  CHECK(contains(error_in("\n<!DOCTYPE html><html><head>Quota exceeded"), "HTML page"));
  CHECK(contains(error_in("<?xml version='1.0'?><svg/>"), "SVG"));
  CHECK(contains(error_in("GIF89a......"), ": GIF; unpack the archive first"));
  CHECK(contains(error_in(std::string("BM....\0\0\0\0", 10)), "BMP"));
  CHECK(contains(error_in("PK\x03\x04...."), "zip archive; unpack the archive"));
  CHECK(contains(error_in("RIFF....WEBPVP8 "), "unreadable WebP: it breaks off"));
  CHECK(contains(error_in("P3 1 1 255 1 2 3"), "PNM"));
  for (const char* bytes : {"0", "RIFF", "00000000ftyp", "P", "\xff\xd8"}) {
    CHECK(contains(error_in(bytes), "unknown file"));
  }
  CHECK(contains(error_of([] { decode_image(pil("missing.jpg")); }), "cannot open"));
  CHECK(contains(error_of([] { decode_image(fixture("pil")); }), "not a regular file"));
}

TEST_CASE("sizes come from headers alone") {
  const TempFolder folder;
  for (const char* name : {"photo.jpg", "small.png"}) {
    const std::string whole = text_of(read_bytes(pil(name)));
    put(folder / name, whole.substr(0, whole.size() / 2));
    const Image image = decode_image(pil(name));
    const ImageSize size = read_image_size(folder / name);
    CHECK(size.width == image.width);
    CHECK(size.height == image.height);
  }
  put(folder / "a.pgm", "P5 7 9 255 ");
  CHECK(read_image_size(folder / "a.pgm").height == 9);
  put(folder / "a.txt", "text");
  CHECK(contains(error_of([&] { read_image_size(folder / "a.txt"); }), "not a JPEG"));
}

TEST_CASE("written pictures come back, the same bytes each time") {
  const TempFolder folder;
  for (const ImageSize size : {ImageSize{1, 1}, {17, 5}, {178, 218}}) {
    const Image image = picture(size.width, size.height, 3);
    write_png(folder / "a.png", image);
    CHECK(largest_difference(decode_image(folder / "a.png"), image) == 0);
    CHECK(encode_png(image) == read_bytes(folder / "a.png"));
    write_jpeg(folder / "a.jpg", image);
    CHECK(encode_jpeg(image) == read_bytes(folder / "a.jpg"));
    CHECK(decode_image(folder / "a.jpg").width == size.width);
  }
  const Image photo = decode_image(pil("photo.jpg"));
  int64_t squares = 0;
  const Image again = decode(text_of(encode_jpeg(photo)));
  for (size_t i = 0; i < photo.rgb.size(); ++i) {
    const int difference = int(photo.rgb[i]) - int(again.rgb[i]);
    squares += difference * difference;
  }
  CHECK(double(squares) / double(photo.rgb.size()) < 255.0 * 255.0 / 1e3);  // more than 30 dB
  CHECK(encode_jpeg(photo, 50).size() < encode_jpeg(photo, 95).size());
  CHECK(contains(error_of([&] { encode_jpeg(photo, 101); }), "quality 101"));
  CHECK(contains(error_of([] { encode_png(Image()); }), "0x0"));
  CHECK(error_of([&] { write_png(folder / "no/such/a.png", photo); }) != "");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 2);  // and no temporaries
}

TEST_CASE("grids and contact sheets") {
  const std::vector<Image> images = {picture(5, 4, 1), picture(5, 4, 2), picture(5, 4, 3)};
  const Image grid = make_grid(images, 2, 1);
  CHECK(grid.width == 2 * 6 + 1);
  CHECK(grid.height == 2 * 5 + 1);
  for (int y = 0; y < 4; ++y) {
    CHECK(std::equal(images[1].pixel(0, y), images[1].pixel(0, y) + 15, grid.pixel(7, 1 + y)));
    CHECK(std::equal(images[2].pixel(0, y), images[2].pixel(0, y) + 15, grid.pixel(1, 6 + y)));
  }
  CHECK(int(grid.pixel(0, 0)[0]) == int(grid.pixel(8, 7)[0]));  // an empty place looks like the gap
  std::vector<uint8_t> pixels;
  for (const Image& image : images) pixels.insert(pixels.end(), image.rgb.begin(), image.rgb.end());
  CHECK(make_grid(pixels.data(), 3, 4, 5, 2, 1).rgb == grid.rgb);
  const Image sheet = contact_sheet(pixels.data(), 3, 4, 5, 2, 1, 0);  // the first and the last
  CHECK(sheet.width == 10);
  CHECK(std::equal(images[2].pixel(0, 3), images[2].pixel(0, 3) + 15, sheet.pixel(5, 3)));
  CHECK(make_grid(images, 100, 0).width == 15);
}

TEST_CASE("a grid or sheet of too many images for a picture shows as many as make one") {
  for (const auto& [n, height, width] : {std::tuple<size_t, int, int>{23000, 64, 64},
                                         {1000000, 1, 1},
                                         {1000000, 16, 16},
                                         {3, 5400, 5400},
                                         {64, 2048, 2048},
                                         {2, 9999, 9999},
                                         {64, 64, 64},
                                         {1, 1, 1}}) {
    CAPTURE(n);
    CAPTURE(height);
    const size_t room = room_in_grid(n, height, width);
    const auto area = [&](size_t count) {
      const int64_t columns = std::min<int64_t>(grid_columns(count), int64_t(count));
      const int64_t rows = (int64_t(count) + columns - 1) / columns;
      return (columns * (width + 2) + 2) * (rows * (height + 2) + 2);
    };
    CHECK(room >= 1);
    CHECK(room <= n);
    CHECK((room == 1 || area(room) <= kMaxPixels));
    CHECK((room == n || area(room + 1) > kMaxPixels));
  }
  CHECK(room_in_grid(23000, 64, 64) == 22801);
  CHECK(room_in_sheet(1000, 64, 64, 12, 8) == 96);
  CHECK(room_in_sheet(1000, 1024, 1024, 12, 8) == 84);
  CHECK(room_in_sheet(50, 1024, 1024, 12, 8) == 50);
  CHECK(room_in_sheet(50, 9000, 9000, 12, 8) == 1);
  // Of two, the first.
  const std::vector<uint8_t> large(size_t(8000) * 6300 * 3);
  CHECK(contact_sheet(large.data(), 2, 8000, 6300, 12, 8).width == 6304);
}

TEST_CASE("a grid of nothing, in no columns or of images of two sizes is refused") {
  std::vector<Image> images(3, Image(5, 4));
  CHECK(contains(error_of([] { make_grid(std::vector<Image>{}, 2); }), "0 images"));
  CHECK(contains(error_of([&] { make_grid(images, 0); }), "0 columns"));
  CHECK(contains(error_of([] { make_grid({Image(2, 2), Image(3, 2)}, 2); }), "image 1 is 3x2"));
}
