#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/pictures/png_text.h"
#include "kernels/base/names.h"

namespace ito::data {

/// An 8-bit RGB picture: rows from the top, pixels from the left, three bytes each, nothing between rows.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;  // height * width * 3

  Image() = default;
  Image(int width_in, int height_in)
      : width(width_in), height(height_in), rgb(size_t(width_in) * size_t(height_in) * 3) {}
  uint8_t* pixel(int x, int y) { return rgb.data() + (size_t(y) * width + x) * 3; }
  const uint8_t* pixel(int x, int y) const { return rgb.data() + (size_t(y) * width + x) * 3; }
};

struct ImageSize {
  int width = 0;
  int height = 0;
};

struct Rectangle {
  int left = 0, top = 0, width = 0, height = 0;
};

/// The largest picture that is decoded, in pixels; checked before anything of that size is allocated.
inline constexpr int64_t kMaxPixels = 100'000'000;

/// Whether a picture is turned as its EXIF orientation says and every viewer does, or left as it is stored.
enum class Orientation { upright, stored };

/// The picture in a file, whose kind (JPEG, PNG, WebP, PGM, PPM) is recognised by its first bytes. Grey becomes RGB, 16
/// bits are reduced to 8, transparency is composited over white. JPEG: libjpeg-turbo's accurate integer IDCT
/// and fancy upsampling, and CMYK, as PIL decodes. Takes at most 400 MiB besides the bytes. Error, naming the
/// file: unreadable, truncated, more than kMaxPixels, or not a picture (with what it looks like).
Image decode_image(const std::filesystem::path& path, Orientation orientation = Orientation::upright);

/// The picture in bytes in memory; errors call them `name`.
Image decode_image(const uint8_t* bytes, size_t size, const std::string& name,
                   Orientation orientation = Orientation::upright);

/// Which part of a picture of this size is wanted; it lies within the picture.
using ChoosePart = std::function<Rectangle(ImageSize)>;
/// A picture, or enough of it, and where in it the wanted part is.
struct ImagePart {
  Image image;
  Rectangle part;
};
/// The part's pixels as decode_image gives them, for a JPEG in less time. Errors as of decode_image: damage outside the
/// part is one, too.
ImagePart decode_part(const uint8_t* bytes, size_t size, const std::string& name, const ChoosePart& choose,
                      Orientation orientation = Orientation::upright);

/// Its size, from the header alone. Errors as of decode_image, as far as a header shows them.
ImageSize read_image_size(const std::filesystem::path& path, Orientation orientation = Orientation::upright);
ImageSize read_image_size(const uint8_t* bytes, size_t size, const std::string& name,
                          Orientation orientation = Orientation::upright);

/// A whole file. Error, naming it, if it cannot be read or is larger than a gigabyte.
std::vector<uint8_t> read_bytes(const std::filesystem::path& path);

/// PNG, 8-bit RGB, with texts next to the pixels (data/pictures/png_text.h), and baseline JPEG with 4:2:0
/// chroma. The same picture and texts give the same bytes.
std::vector<uint8_t> encode_png(const Image& image, const PngTexts& texts = {});
std::vector<uint8_t> encode_jpeg(const Image& image, int quality = 92);

/// Encodes to a temporary file next to `path` and renames it: the path holds a whole picture or what it held
/// before. Error, naming the path, if it cannot be written.
void write_png(const std::filesystem::path& path, const Image& image, const PngTexts& texts = {});
void write_jpeg(const std::filesystem::path& path, const Image& image, int quality = 92);

}  // namespace ito::data

template <>
struct ito::Names<ito::data::Orientation> {
  static constexpr std::string_view kKind = "orientation";
  static constexpr Named<data::Orientation> kTable[] = {{"upright", data::Orientation::upright},
                                                        {"stored", data::Orientation::stored}};
};
