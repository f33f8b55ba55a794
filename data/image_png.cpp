#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "data/image_codecs.h"
#include "kernels/error.h"

namespace ito::data {
namespace {

constexpr size_t kSignatureBytes = 8;

std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
    table[byte] = crc;
  }
  return table;
}

/// PNG specification, annex D.
uint32_t crc32(const uint8_t* bytes, size_t size) {
  static const std::array<uint32_t, 256> table = crc_table();
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) crc = table[(crc ^ bytes[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3];
}

/// Every chunk is whole and as it was written, up to the end chunk: stb checks no CRC and guesses at missing
/// bytes.
void check_chunks(const uint8_t* bytes, size_t size, const std::string& name) {
  constexpr size_t kAround = 12;  // length, type and CRC
  for (size_t at = kSignatureBytes; at + kAround <= size;) {
    const uint32_t length = big_endian(bytes + at);
    if (length > size - at - kAround) break;
    const uint8_t* type = bytes + at + 4;
    if (crc32(type, length + 4) != big_endian(type + 4 + length)) {
      fail(cat(name, ": unreadable PNG: damaged at byte ", at));
    }
    if (std::equal(type, type + 4, "IEND")) return;
    at += length + kAround;
  }
  fail(cat(name, ": unreadable PNG: it breaks off after ", size, " bytes"));
}

/// stb's pixels of 1 to 4 channels (grey, grey + alpha, RGB, RGBA) over white.
void to_rgb(const uint8_t* source, int channels, Image& image) {
  const size_t pixels = size_t(image.width) * size_t(image.height);
  const bool has_alpha = channels == 2 || channels == 4;
  const int step = channels >= 3 ? 1 : 0;  // from one colour to the next
  for (size_t i = 0; i < pixels; ++i, source += channels) {
    const int alpha = has_alpha ? source[channels - 1] : 255;
    for (int c = 0; c < 3; ++c) {
      image.rgb[3 * i + size_t(c)] = uint8_t((source[c * step] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
}

int checked_length(size_t size, const std::string& name) {
  if (size > size_t(std::numeric_limits<int>::max()))
    fail(cat(name, ": ", size, " bytes are too many for a PNG"));
  return int(size);
}

void append(void* context, void* bytes, int size) {
  const uint8_t* first = static_cast<const uint8_t*>(bytes);
  auto* out = static_cast<std::vector<uint8_t>*>(context);
  out->insert(out->end(), first, first + size);
}

}  // namespace

ImageSize png_size(const uint8_t* bytes, size_t size, const std::string& name) {
  const uint8_t* header = bytes + kSignatureBytes;  // length, "IHDR", width, height
  if (size < kSignatureBytes + 16 || !std::equal(header + 4, header + 8, "IHDR")) {
    fail(cat(name, ": unreadable PNG: it has no header"));
  }
  const uint32_t width = big_endian(header + 8), height = big_endian(header + 12);
  check_image_size(width, height, name);
  return {int(width), int(height)};
}

Image decode_png(const uint8_t* bytes, size_t size, const std::string& name) {
  png_size(bytes, size, name);
  check_chunks(bytes, size, name);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<uint8_t, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes, checked_length(size, name), &width, &height, &channels, 0),
      stbi_image_free);
  if (!pixels) fail(cat(name, ": unreadable PNG: ", stbi_failure_reason()));
  Image image(width, height);
  to_rgb(pixels.get(), channels, image);
  return image;
}

std::vector<uint8_t> encode_png(const Image& image) {
  check_image_size(image.width, image.height, "PNG to write");
  std::vector<uint8_t> bytes;
  if (!stbi_write_png_to_func(append, &bytes, image.width, image.height, 3, image.rgb.data(),
                              image.width * 3)) {
    fail(cat("cannot encode a PNG of ", image.width, "x", image.height, " pixels: out of memory"));
  }
  return bytes;
}

}  // namespace ito::data
