#include "data/pictures/orientation.h"

#include <algorithm>

#include "data/pictures/jpeg_segments.h"
#include "kernels/base/byte_order.h"

namespace ito::data {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kExifMark = "Exif\0\0"sv;

uint32_t big32(std::string_view text, size_t at) { return load_big<uint32_t>(text.data() + at); }

std::string_view without_mark(std::string_view block) {
  return block.starts_with(kExifMark) ? block.substr(kExifMark.size()) : block;
}

/// The content of the first APP1 segment with EXIF before the picture's data; empty if there is none.
std::string_view exif_of_jpeg(std::string_view file) {
  constexpr uint8_t kApp1 = 0xe1;
  std::string_view found;
  visit_jpeg_segments(file, [&](uint8_t marker, std::string_view content) {
    if (marker == kApp1 && content.starts_with(kExifMark)) found = without_mark(content);
    return found.empty();
  });
  return found;
}

std::string_view exif_of_png(std::string_view file) {
  for (size_t at = 8; at + 12 <= file.size();) {
    const size_t length = big32(file, at);
    if (file.substr(at + 4, 4) == "eXIf") return file.substr(at + 8, length);
    if (file.substr(at + 4, 4) == "IEND") break;
    at += 12 + length;
  }
  return {};
}

std::string_view exif_of_webp(std::string_view file) {
  for (size_t at = 12; at + 8 <= file.size();) {
    const size_t length = load_little<uint32_t>(file.data() + at + 4);
    if (file.substr(at, 4) == "EXIF") return without_mark(file.substr(at + 8, length));
    at += 8 + length + length % 2;
  }
  return {};
}

}  // namespace

ImageSize Turn::size(ImageSize other) const { return swap ? ImageSize{other.height, other.width} : other; }

Rectangle Turn::stored(Rectangle part, ImageSize upright_size) const {
  const ImageSize all = size(upright_size);
  Rectangle to = swap ? Rectangle{part.top, part.left, part.height, part.width} : part;
  if (from_right) to.left = all.width - to.left - to.width;
  if (from_below) to.top = all.height - to.top - to.height;
  return to;
}

Rectangle Turn::upright(Rectangle part, ImageSize stored_size) const {
  if (from_right) part.left = stored_size.width - part.left - part.width;
  if (from_below) part.top = stored_size.height - part.top - part.height;
  return swap ? Rectangle{part.top, part.left, part.height, part.width} : part;
}

Image Turn::image(const Image& stored) const {
  const ImageSize upright = size({stored.width, stored.height});
  Image image(upright.width, upright.height);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const int a = swap ? y : x, b = swap ? x : y;
      const uint8_t* from =
          stored.pixel(from_right ? stored.width - 1 - a : a, from_below ? stored.height - 1 - b : b);
      std::copy_n(from, 3, image.pixel(x, y));
    }
  }
  return image;
}

Turn turn_of(int exif_orientation) {
  constexpr Turn kTurns[] = {{},                    // 1: the first row is the top, the first column the left
                             {false, true, false},  // 2: mirrored
                             {false, true, true},   // 3: upside down
                             {false, false, true},  // 4: mirrored upside down
                             {true, false, false},  // 5: mirrored at the diagonal
                             {true, false, true},   // 6: to be turned to the right
                             {true, true, true},    // 7: mirrored at the other diagonal
                             {true, true, false}};  // 8: to be turned to the left
  return exif_orientation >= 1 && exif_orientation <= 8 ? kTurns[exif_orientation - 1] : Turn();
}

int exif_orientation(std::string_view tiff) {
  const bool little = tiff.substr(0, 2) == "II";
  if (tiff.size() < 8 || (!little && tiff.substr(0, 2) != "MM")) return 1;
  const auto u16 = [&](size_t at) {
    return little ? load_little<uint16_t>(tiff.data() + at) : load_big<uint16_t>(tiff.data() + at);
  };
  const size_t directory = little ? load_little<uint32_t>(tiff.data() + 4) : big32(tiff, 4);
  if (directory > tiff.size() || tiff.size() - directory < 2) return 1;
  const size_t entries = std::min<size_t>(u16(directory), (tiff.size() - directory - 2) / 12);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;  // tag, type, count, value
    constexpr uint16_t kOrientation = 0x0112, kShort = 3;
    if (u16(entry) == kOrientation && u16(entry + 2) == kShort) return u16(entry + 8);
  }
  return 1;
}

int exif_orientation(std::string_view file, PictureFormat format) {
  switch (format) {
    case PictureFormat::jpeg:
      return exif_orientation(exif_of_jpeg(file));
    case PictureFormat::png:
      return exif_orientation(exif_of_png(file));
    case PictureFormat::webp:
      return exif_orientation(exif_of_webp(file));
    case PictureFormat::pnm:
    case PictureFormat::none:
      break;
  }
  return 1;
}

Turn turn_of(std::string_view file, PictureFormat format) { return turn_of(exif_orientation(file, format)); }

}  // namespace ito::data
