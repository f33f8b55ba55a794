#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "data/pictures/crop.h"
#include "data/pictures/resize.h"
#include "data_helpers.h"

using namespace ito;
using namespace ito::data;
using namespace ito::tests;

namespace {

/// The filter's formula in f64, without the rounding between the passes: both axes' weights at once.
double exact_value(const Image& image, const Rectangle& part, ImageSize size, int x, int y, int c) {
  const auto weight = [](int input, int output, int inputs, int outputs) {
    const double scale = double(inputs) / outputs, support = std::max(scale, 1.0);
    return std::max(0.0, 1.0 - std::abs(input + 0.5 - (output + 0.5) * scale) / support);
  };
  double sum = 0, total = 0;
  for (int v = 0; v < part.height; ++v) {
    const double down = weight(v, y, part.height, size.height);
    for (int u = 0; down > 0 && u < part.width; ++u) {
      const double w = down * weight(u, x, part.width, size.width);
      sum += w * image.pixel(part.left + u, part.top + v)[c];
      total += w;
    }
  }
  return sum / total;
}

}  // namespace

TEST_CASE("resizing gives PIL's pixels") {
  const Image photo = decode_image(pil("photo.jpg"));
  const auto difference = [&](const Rectangle& part, ImageSize size, const char* expected) {
    return largest_difference(resize(photo, part, size), decode_image(pil(expected)));
  };
  CHECK(difference({25, 57, 128, 128}, {64, 64}, "ddim128_64x64.png") == 0);
  CHECK(difference({0, 0, 178, 218}, {41, 29}, "whole_41x29.png") == 0);
  CHECK(difference({60, 80, 24, 19}, {37, 31}, "part_37x31.png") == 0);
  CHECK(difference({0, 20, 178, 178}, {178, 23}, "columns_178x23.png") == 0);
}

TEST_CASE("resizing follows the formula to within its two roundings") {
  const Image image = picture(61, 47, 9);
  const Rectangle part{3, 2, 55, 41};
  for (const ImageSize size : {ImageSize{1, 1}, {7, 13}, {55, 41}, {54, 40}, {100, 90}}) {
    const Image out = resize(image, part, size);
    double largest = 0;
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        for (int c = 0; c < 3; ++c) {
          largest = std::max(largest, std::abs(out.pixel(x, y)[c] - exact_value(image, part, size, x, y, c)));
        }
      }
    }
    CHECK(largest < 1.0001);  // half a level a pass, and 41 weights rounded to 2^-22
  }
}

TEST_CASE("resizing keeps what must stay") {
  Image flat(40, 30);
  for (const int level : {0, 1, 254, 255}) {
    std::fill(flat.rgb.begin(), flat.rgb.end(), uint8_t(level));
    const Image out = resize(flat, {1, 1, 38, 28}, {11, 9});
    CHECK(std::set<int>(out.rgb.begin(), out.rgb.end()) == std::set<int>{level});
  }
  const Image image = picture(12, 9, 1);
  CHECK(largest_difference(resize(image, {0, 0, 12, 9}, {12, 9}), image) == 0);
  CHECK(contains(error_of([&] {
                   resize(image, {1, 0, 12, 9}, {4, 4});
                 }),
                 "12x9 pixels at 1,0 of a 12x9 picture"));
  CHECK(error_of([&] { resize(image, {0, 0, 12, 9}, {0, 4}); }) != "");
  CHECK(error_of([&] { resize(image, {-1, 0, 4, 4}, {4, 4}); }) != "");
}

TEST_CASE("crops") {
  const auto is = [](const Rectangle& part, int left, int top, int width, int height) {
    return part.left == left && part.top == top && part.width == width && part.height == height;
  };
  CHECK(is(crop_rectangle(Crop::ddim128, {178, 218}, {64, 64}), 25, 57, 128, 128));
  CHECK(is(crop_rectangle(Crop::none, {178, 218}, {64, 64}), 0, 20, 178, 178));
  CHECK(is(crop_rectangle(Crop::none, {219, 100}, {64, 64}), 59, 0, 100, 100));
  CHECK(is(crop_rectangle(Crop::none, {128, 128}, {64, 64}), 0, 0, 128, 128));
  CHECK(is(crop_rectangle(Crop::none, {300, 100}, {64, 32}), 50, 0, 200, 100));  // twice as wide as high
  CHECK(is(crop_rectangle(Crop::none, {100, 300}, {32, 48}), 0, 75, 100, 150));
  CHECK(is(crop_rectangle(Crop::none, {1000, 1}, {1, 64}), 499, 0, 1, 1));
  CHECK(contains(error_of([] {
                   crop_rectangle(Crop::ddim128, {178, 178}, {64, 64});
                 }),
                 "178 wide and 178 high"));
  const auto not_square = [] { crop_rectangle(Crop::ddim128, {178, 218}, {64, 96}); };
  CHECK(contains(error_of(not_square), "96x64 (HxW) is not"));
  CHECK(advice_of(not_square) == "{crop} none");
  struct Square {
    const char* name;
    int left, top, side;
  };
  for (const Square& square : {Square{"ddim128", 25, 57, 128},
                               {"c140", 19, 39, 140},
                               {"c148", 15, 35, 148},
                               {"c178", 0, 20, 178},
                               {"c108", 35, 55, 108}}) {
    CAPTURE(square.name);
    const Crop crop = parse_name<Crop>(square.name);
    CHECK(name_of(crop) == square.name);
    CHECK(is(crop_rectangle(crop, {178, 218}, {64, 64}), square.left, square.top, square.side, square.side));
    CHECK(contains(error_of([&] {
                     crop_rectangle(crop, {200, 218}, {64, 64});
                   }),
                   std::string("crop ") + square.name + " is for aligned CelebA pictures"));
    CHECK(contains(error_of([&] {
                     crop_rectangle(crop, {178, 218}, {64, 32});
                   }),
                   std::string("crop ") + square.name + " is square, and 32x64"));
  }
  CHECK(parse_name<Crop>("ddim128") == Crop::ddim128);
  CHECK(name_of(parse_name<Crop>("none")) == "none");
  CHECK(contains(error_of([] { parse_name<Crop>("ddim182"); }), "did you mean \"ddim128\""));
}

TEST_CASE("sizes as they are typed") {
  CHECK(parse_image_size("64").height == 64);
  CHECK(parse_image_size("64").width == 64);
  CHECK(parse_image_size("96x64").height == 96);
  CHECK(parse_image_size("96x64").width == 64);
  for (const char* bad :
       {"", "x", "64x", "x64", "64x64x64", "0", "-64", "64.5", "4097", "99999999999999999999", "64 "}) {
    CAPTURE(bad);
    CHECK(contains(error_of([&] { parse_image_size(bad); }), "neither N nor HxW"));
  }
}
