#include "data/pictures/crop.h"

#include <algorithm>
#include <charconv>

#include "kernels/base/error.h"
#include "kernels/base/names.h"

namespace ito::data {
namespace {

constexpr ImageSize kAligned{178, 218};

/// The square of an aligned picture that a crop takes; crop none has no such square.
Rectangle square_of(Crop crop) {
  switch (crop) {
    case Crop::ddim128:
      return {25, 57, 128, 128};
    case Crop::c140:
      return {19, 39, 140, 140};
    case Crop::c148:
      return {15, 35, 148, 148};
    case Crop::c178:
      return {0, 20, 178, 178};
    case Crop::c108:
      return {35, 55, 108, 108};
    case Crop::none:
      break;
  }
  fail("crop none is not a fixed square");
}

/// round(a * b / c), exactly.
int scaled(int a, int b, int c) { return int((int64_t(a) * b * 2 + c) / (int64_t(c) * 2)); }

Rectangle centred(ImageSize size, ImageSize target) {
  Rectangle part{0, 0, size.width, size.height};
  if (int64_t(size.width) * target.height > int64_t(size.height) * target.width) {
    part.width = std::max(1, scaled(size.height, target.width, target.height));
  } else {
    part.height = std::max(1, scaled(size.width, target.height, target.width));
  }
  part.left = (size.width - part.width) / 2;
  part.top = (size.height - part.height) / 2;
  return part;
}

int parse_side(std::string_view text, std::string_view whole) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > kLargestSide) {
    fail(cat("image size '", whole, "' is neither N nor HxW with sides in 1..", kLargestSide,
             ", e.g. 64 or 96x64"));
  }
  return value;
}

}  // namespace

Rectangle crop_rectangle(Crop crop, ImageSize size, ImageSize target) {
  if (crop == Crop::none) return centred(size, target);
  if (target.width != target.height) {
    fail_advising(
        cat("crop ", name_of(crop), " is square, and ", target.height, "x", target.width, " (HxW) is not"),
        {"{crop} none"});
  }
  if (size.width != kAligned.width || size.height != kAligned.height) {
    fail_advising(cat("crop ", name_of(crop),
                      " is for aligned CelebA pictures, 178 wide and 218 high, and this one is ", size.width,
                      " wide and ", size.height, " high"),
                  {"{crop} none"});
  }
  return square_of(crop);
}

ImageSize parse_image_size(std::string_view text) {
  const size_t cross = text.find('x');
  if (cross == std::string_view::npos) {
    const int side = parse_side(text, text);
    return {side, side};
  }
  const int height = parse_side(text.substr(0, cross), text);
  const int width = parse_side(text.substr(cross + 1), text);
  return {width, height};
}

}  // namespace ito::data
