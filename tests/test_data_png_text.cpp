#include <doctest/doctest.h>

#include <string>

#include "data/pictures/image_facts.h"
#include "data/pictures/png_text.h"
#include "data_helpers.h"

/// Texts in PNGs: written, read back by our own reader and skipped by the decoder; limits; what a file says about
/// itself.
namespace ito::tests {
namespace {

using data::PngTexts;

PngTexts texts_in(const std::vector<uint8_t>& png) { return data::png_texts(png.data(), png.size()); }

}  // namespace

TEST_CASE("texts come back and leave the pixels alone") {
  const Image image = picture(9, 7, 1);
  const PngTexts texts = {{"seed", "5"}, {"run", "L\xc3\xa4ufe \xe6\x9d\xb1\xe4\xba\xac"}, {"empty", ""}};
  const std::vector<uint8_t> png = data::encode_png(image, texts);
  CHECK(texts_in(png) == texts);
  CHECK(decode(text_of(png)).rgb == image.rgb);
  CHECK(png == data::encode_png(image, texts));
  CHECK(texts_in(data::encode_png(image)).empty());
  CHECK(contains(text_of(png), "tEXtseed"));
  CHECK(contains(text_of(png), "iTXtrun"));
}

TEST_CASE("any bytes can be a text: as UTF-8, without what a terminal obeys, and not too long") {
  const Image image = picture(3, 2, 1);
  const auto back = [&](const std::string& text) {
    const PngTexts texts = texts_in(data::encode_png(image, {{"run", text}}));
    REQUIRE(texts.size() == 1);
    return texts[0].second;
  };
  CHECK(back("caf\xe9") == "caf%E9");  // Latin-1, as old folders are called
  CHECK(back(std::string("a\0b\x1b[2J\n", 8)) == "a?b?[2J?");
  CHECK(back("\xed\xa0\x80") == "%ED%A0%80");  // half a pair of UTF-16 is no UTF-8
  CHECK(back("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
  CHECK(back(std::string(1000, 'x')) == std::string(197, 'x') + "...");
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\xe6\x9d\xb1";
  CHECK(back(wide) == wide.substr(0, 195) + "...");
  CHECK(contains(error_of([&] { data::encode_png(image, {{"L\xc3\xa4nge", "1"}}); }), "cannot be a keyword"));
  CHECK(contains(error_of([&] { data::encode_png(image, {{std::string(80, 'k'), "1"}}); }), "1 to 79"));
}

TEST_CASE("reading texts is bounded, and damage ends it or is skipped") {
  const Image image = picture(3, 2, 1);
  PngTexts many;
  for (int i = 0; i < 100; ++i) many.emplace_back(cat("k", i), "v");
  CHECK(texts_in(data::encode_png(image, many)).size() == data::kMostTexts);
  const std::string whole = text_of(data::encode_png(image, {{"a", "1"}, {"b", "2"}}));
  const auto texts_of = [](const std::string& bytes) {
    return data::png_texts(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  };
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK(texts_of(whole.substr(0, length)).size() <= 2);
  std::string damaged = whole;
  damaged[damaged.find("tEXta") + 6] = '9';  // its checksum is wrong
  CHECK(texts_of(damaged) == PngTexts{{"b", "2"}});
  damaged = whole;
  damaged[damaged.find("tEXta") - 4] = '\xff';  // longer than the file
  CHECK(texts_of(damaged).empty());
}

TEST_CASE("what a picture says about itself") {
  const auto facts_of = [](const std::string& bytes) {
    return data::image_facts(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), "picture");
  };
  const data::ImageFacts png = facts_of(text_of(data::encode_png(picture(9, 7, 1), {{"seed", "5"}})));
  CHECK(png.kind == "PNG");
  CHECK(png.size.width == 9);
  CHECK(png.colours == "RGB (colour type 2), 8 bits");
  CHECK(png.texts == PngTexts{{"seed", "5"}});
  CHECK(facts_of(io::read_file(pil("grey16.png"))).colours == "grey (colour type 0), 16 bits");
  CHECK(facts_of(io::read_file(pil("grey.jpg"))).colours == "1 component, 8 bits");
  CHECK(facts_of("P5 1 1 255 x").kind == "PNM");
  CHECK(contains(error_of([&] { facts_of("GIF89a"); }), "picture"));
  std::string jpeg = text_of(data::encode_jpeg(picture(9, 7, 1)));
  CHECK(facts_of(jpeg).kind == "JPEG");
  CHECK(facts_of(jpeg).colours == "3 components, 8 bits");
  CHECK(facts_of(jpeg).orientation == 1);
  const std::string list("\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0", 18);
  const std::string exif =
      std::string("\xff\xe1\0\x22", 4) + std::string("Exif\0\0MM\0*\0\0\0\x08", 14) + list;
  jpeg.insert(2, exif);
  CHECK(facts_of(jpeg).orientation == 6);
  CHECK(facts_of(jpeg).size.width == 9);
  CHECK(facts_of(jpeg).upright.width == 7);
  for (size_t i = 2; i < 2 + exif.size(); ++i) {  // nonsense counts as none
    std::string damaged = jpeg;
    damaged[i] = '\xff';
    int orientation = 1;
    error_of([&] { orientation = facts_of(damaged).orientation; });
    CHECK((orientation >= 1 && orientation <= 8));
  }
}

}  // namespace ito::tests
