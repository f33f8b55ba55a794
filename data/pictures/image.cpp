#include "data/pictures/image.h"

#include <string_view>

#include "data/pictures/codecs.h"
#include "data/pictures/file_kind.h"
#include "data/pictures/orientation.h"
#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"

namespace ito::data {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t(1) << 30;

std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

PictureFormat format_of(std::string_view text, const std::string& name) {
  return kind_of(text.substr(0, kKindBytes), name).format;
}

[[noreturn]] void fail_format(std::string_view text, const std::string& name) {
  fail(cat(name, ": not a ", kReadFormats, " picture: ", describe_other(text.substr(0, kKindBytes), name)));
}

void write_whole(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
  io::write_file_atomic(path, text_of(bytes.data(), bytes.size()));
}

}  // namespace

void check_image_size(int64_t width, int64_t height, const std::string& name) {
  if (width <= 0 || height <= 0)
    fail(cat(name, ": unreadable: a picture of ", width, "x", height, " pixels"));
  if (width > kMaxPixels / height) {
    fail(cat(name, ": ", width, "x", height, " pixels; at most ", kMaxPixels / 1'000'000,
             " million are read"));
  }
}

std::vector<uint8_t> read_bytes(const std::filesystem::path& path) {
  return read_whole<std::vector<uint8_t>>(path, kMaxFileBytes);
}

namespace {

/// Decodes a picture as it is stored, in which the part is chosen, too.
ImagePart decode_stored(std::string_view text, const std::string& name, const ChoosePart& choose) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const auto whole = [&](Image image) {
    const Rectangle part = choose({image.width, image.height});
    return ImagePart{std::move(image), part};
  };
  switch (format_of(text, name)) {
    case PictureFormat::jpeg:
      return decode_jpeg(bytes, text.size(), name, choose);
    case PictureFormat::png:
      return whole(decode_png(bytes, text.size(), name));
    case PictureFormat::pnm:
      return whole(decode_pnm(bytes, text.size(), name));
    case PictureFormat::webp:
      return whole(decode_webp(bytes, text.size(), name));
    case PictureFormat::none:
      break;
  }
  fail_format(text, name);
}

ImageSize stored_size(std::string_view text, const std::string& name) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  switch (format_of(text, name)) {
    case PictureFormat::jpeg:
      return jpeg_size(bytes, text.size(), name);
    case PictureFormat::png:
      return png_size(bytes, text.size(), name);
    case PictureFormat::pnm:
      return pnm_size(bytes, text.size(), name);
    case PictureFormat::webp:
      return webp_size(bytes, text.size(), name);
    case PictureFormat::none:
      break;
  }
  fail_format(text, name);
}

/// How a viewer turns the stored picture.
Turn turn_of(std::string_view text, const std::string& name, Orientation orientation) {
  return orientation == Orientation::stored ? Turn() : turn_of(text, format_of(text, name));
}

}  // namespace

ImagePart decode_part(const uint8_t* bytes, size_t size, const std::string& name, const ChoosePart& choose,
                      Orientation orientation) {
  const std::string_view text = text_of(bytes, size);
  const Turn turn = turn_of(text, name, orientation);
  if (turn.is_none()) return decode_stored(text, name, choose);
  const ImagePart stored = decode_stored(text, name, [&](ImageSize all) {
    const ImageSize upright = turn.size(all);
    return turn.stored(choose(upright), upright);
  });
  return {turn.image(stored.image), turn.upright(stored.part, {stored.image.width, stored.image.height})};
}

Image decode_image(const uint8_t* bytes, size_t size, const std::string& name, Orientation orientation) {
  const auto all = [](ImageSize whole) { return Rectangle{0, 0, whole.width, whole.height}; };
  return decode_part(bytes, size, name, all, orientation).image;
}

Image decode_image(const std::filesystem::path& path, Orientation orientation) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  return decode_image(bytes.data(), bytes.size(), path.string(), orientation);
}

ImageSize read_image_size(const uint8_t* bytes, size_t size, const std::string& name,
                          Orientation orientation) {
  const std::string_view text = text_of(bytes, size);
  return turn_of(text, name, orientation).size(stored_size(text, name));
}

ImageSize read_image_size(const std::filesystem::path& path, Orientation orientation) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  return read_image_size(bytes.data(), bytes.size(), path.string(), orientation);
}

void write_png(const std::filesystem::path& path, const Image& image, const PngTexts& texts) {
  write_whole(path, encode_png(image, texts));
}

void write_jpeg(const std::filesystem::path& path, const Image& image, int quality) {
  write_whole(path, encode_jpeg(image, quality));
}

}  // namespace ito::data
