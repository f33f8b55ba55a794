#include "data/image.h"

#include <string_view>

#include "data/image_codecs.h"
#include "engine/io/atomic_file.h"
#include "engine/io/web_page.h"
#include "kernels/base/error.h"
#include "kernels/base/file.h"

namespace ito::data {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t(1) << 30;

enum class Format { jpeg, png, pnm, other };

std::string_view text_of(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

bool stands_at(size_t at, std::string_view text, std::string_view word) {
  return text.size() >= at && text.substr(at, word.size()) == word;
}

bool starts_with(std::string_view text, std::string_view start) { return stands_at(0, text, start); }

Format format_of(std::string_view text) {
  if (starts_with(text, "\xff\xd8\xff")) return Format::jpeg;
  if (starts_with(text, "\x89PNG\r\n\x1a\n")) return Format::png;
  if (starts_with(text, "P5") || starts_with(text, "P6")) return Format::pnm;
  return Format::other;
}

/// What a file that is no picture of ours looks like, for the error.
std::string describe(std::string_view text) {
  if (text.empty()) return "the file is empty";
  if (io::is_web_page(text)) return "an HTML page, as a failed download leaves; download the file again";
  const size_t visible = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (visible != std::string_view::npos && text[visible] == '<') return "XML or SVG text";
  struct Known {
    std::string_view start;
    const char* name;
  };
  static constexpr Known kKnown[] = {
      {"GIF8", "a GIF"}, {"BM", "a BMP"},  {"PK\x03\x04", "a ZIP archive; unpack it"}, {"\x1f\x8b", "gzip"},
      {"II*", "a TIFF"}, {"MM", "a TIFF"}, {"7z\xbc\xaf", "a 7z archive; unpack it"}};
  for (const Known& known : kKnown) {
    if (starts_with(text, known.start)) return known.name;
  }
  if (starts_with(text, "RIFF") && stands_at(8, text, "WEBP")) return "a WebP picture";
  if (stands_at(4, text, "ftyp")) return "a HEIC, AVIF or video file";
  if (text[0] == 'P' && text.size() > 1 && text[1] >= '1' && text[1] <= '7')
    return "a PNM file other than P5 and P6";
  return "no picture format that is known here";
}

[[noreturn]] void fail_format(std::string_view text, const std::string& name) {
  fail(cat(name, ": not a JPEG, PNG, PGM or PPM picture: ", describe(text)));
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

ImagePart decode_part(const uint8_t* bytes, size_t size, const std::string& name, const ChoosePart& choose) {
  const std::string_view text = text_of(bytes, size);
  const auto whole = [&](Image image) {
    const Rectangle part = choose({image.width, image.height});
    return ImagePart{std::move(image), part};
  };
  switch (format_of(text)) {
    case Format::jpeg:
      return decode_jpeg(bytes, size, name, choose);
    case Format::png:
      return whole(decode_png(bytes, size, name));
    case Format::pnm:
      return whole(decode_pnm(bytes, size, name));
    case Format::other:
      break;
  }
  fail_format(text, name);
}

Image decode_image(const uint8_t* bytes, size_t size, const std::string& name) {
  return decode_part(bytes, size, name,
                     [](ImageSize all) {
                       return Rectangle{0, 0, all.width, all.height};
                     })
      .image;
}

Image decode_image(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  return decode_image(bytes.data(), bytes.size(), path.string());
}

ImageSize read_image_size(const uint8_t* bytes, size_t size, const std::string& name) {
  const std::string_view text = text_of(bytes, size);
  switch (format_of(text)) {
    case Format::jpeg:
      return jpeg_size(bytes, size, name);
    case Format::png:
      return png_size(bytes, size, name);
    case Format::pnm:
      return pnm_size(bytes, size, name);
    case Format::other:
      break;
  }
  fail_format(text, name);
}

ImageSize read_image_size(const std::filesystem::path& path) {
  const std::vector<uint8_t> bytes = read_bytes(path);
  return read_image_size(bytes.data(), bytes.size(), path.string());
}

void write_png(const std::filesystem::path& path, const Image& image) {
  write_whole(path, encode_png(image));
}

void write_jpeg(const std::filesystem::path& path, const Image& image, int quality) {
  write_whole(path, encode_jpeg(image, quality));
}

}  // namespace ito::data
