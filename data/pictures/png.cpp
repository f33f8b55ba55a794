#include <png.h>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "data/pictures/codecs.h"
#include "kernels/base/error.h"

/// PNG by libpng, which gives a row at a time: memory holds the picture and two rows, whatever the file's data
/// would unpack to. libpng reports errors by a callback that must not return: between setjmp and the jump back
/// to it no frame of this file holds an object with a destructor.
namespace ito::data {
namespace {

constexpr size_t kSignatureBytes = 8, kAround = 12;  // around a chunk's content: length, type and CRC
constexpr size_t kStartBytes = kSignatureBytes + kAround + 13;  // up to the end of the header
constexpr size_t kMostExpansion = 1032;                         // deflate's: two bits for 258 bytes
constexpr size_t kMostBytes = size_t(400) << 20;                // of a picture and its two rows

struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  char message[200] = "out of memory";
  Image* image = nullptr;
  bool interlaced = false;
  size_t channels = 0;     // of the rows that come: 3, or 4 with alpha
  size_t pixels_left = 0;  // not yet delivered

  Reader() = default;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  uint32_t width() const { return png_get_image_width(png, info); }
  uint32_t height() const { return png_get_image_height(png, info); }
};

[[noreturn]] void fail_png(const std::string& name, const std::string& what) {
  fail(cat(name, ": unreadable PNG: ", what));
}

void keep_message(png_structp png, const char* text) {
  Reader& reader = *static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader.message, sizeof reader.message, "%s", text);
}

[[noreturn]] void on_error(png_structp png, const char* text) {
  // The warning before this one names what is invalid.
  if (std::strcmp(text, "Invalid IHDR data") != 0) keep_message(png, text);
  png_longjmp(png, 1);
}

void on_warning(png_structp png, const char* text) {
  keep_message(png, text);
  const Reader& reader = *static_cast<Reader*>(png_get_error_ptr(png));
  // libpng would go on without the transparency.
  if (std::strcmp(text, "tRNS: invalid") == 0 &&
      png_get_color_type(png, reader.info) != PNG_COLOR_TYPE_PALETTE)
    png_error(png, "its transparent colour (tRNS) has the wrong length");
}

/// Asks libpng, before the first row, to turn every kind into 8-bit RGB or RGBA; of 16 bits the higher 8 are kept.
void on_info(png_structp png, png_infop info) {
  Reader& reader = *static_cast<Reader*>(png_get_progressive_ptr(png));
  png_set_expand(png);
  png_set_strip_16(png);
  png_set_gray_to_rgb(png);
  png_read_update_info(png, info);
  reader.channels = png_get_channels(png, info);
  reader.interlaced = png_get_interlace_type(png, info) != PNG_INTERLACE_NONE;
}

/// Writes one row's pixels as RGB over white, `step` bytes apart.
void put_row(const uint8_t* row, size_t channels, size_t columns, uint8_t* out, size_t step) {
  for (size_t x = 0; x < columns; ++x, row += channels, out += step) {
    const int alpha = channels == 4 ? row[3] : 255;
    for (size_t c = 0; c < 3; ++c) out[c] = over_white(row[c], alpha);
  }
}

/// A row of the picture or, if it is interlaced, of one of the seven smaller pictures that it consists of.
void on_row(png_structp png, png_bytep row, png_uint_32 number, int pass) {
  Reader& reader = *static_cast<Reader*>(png_get_progressive_ptr(png));
  Image& image = *reader.image;
  if (!reader.interlaced) {
    put_row(row, reader.channels, size_t(image.width), image.pixel(0, int(number)), 3);
    reader.pixels_left -= size_t(image.width);
    return;
  }
  const size_t columns = PNG_PASS_COLS(uint32_t(image.width), pass);
  put_row(row, reader.channels, columns,
          image.pixel(int(PNG_PASS_START_COL(pass)), int(PNG_ROW_FROM_PASS_ROW(number, pass))),
          size_t(3) << PNG_PASS_COL_SHIFT(pass));
  reader.pixels_left -= columns;
}

/// Gives libpng the next bytes of the file; false with a message.
bool feed(Reader& reader, const uint8_t* bytes, size_t size) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_process_data(reader.png, reader.info, const_cast<uint8_t*>(bytes), size);
  return true;
}

bool create(Reader& reader) {
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (!reader.png) return false;
  if (setjmp(png_jmpbuf(reader.png))) return false;
  reader.info = png_create_info_struct(reader.png);
  if (!reader.info) return false;
  png_set_progressive_read_fn(reader.png, &reader, on_info, on_row, nullptr);
  png_set_user_limits(reader.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_image_size has the limits
  png_set_crc_action(reader.png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // Texts, profiles and other extra chunks, of any length, are skipped: neither unpacked nor kept.
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_chunk_malloc_max(reader.png, 0);
  return true;
}

/// Reads the header.
void open_png(Reader& reader, const uint8_t* bytes, size_t size, const std::string& name) {
  if (!create(reader) || !feed(reader, bytes, std::min(size, kStartBytes))) fail_png(name, reader.message);
  if (reader.width() == 0) fail_png(name, "it has no header");
  check_image_size(reader.width(), reader.height(), name);
}

/// Whether every chunk is complete, up to the end chunk. libpng would keep a copy of one that is cut off.
bool is_whole(const uint8_t* bytes, size_t size) {
  for (size_t at = kSignatureBytes; at + kAround <= size;) {
    const size_t length = png_get_uint_32(bytes + at);
    if (length > size - at - kAround) return false;
    if (std::memcmp(bytes + at + 4, "IEND", 4) == 0) return true;
    at += length + kAround;
  }
  return false;
}

/// A few bytes must not take the memory of a large picture.
void check_cost(const Reader& reader, size_t size, const std::string& name) {
  const size_t width = reader.width(), height = reader.height();
  if (height * (1 + png_get_rowbytes(reader.png, reader.info)) / kMostExpansion > size) {
    fail_png(name, cat("its ", size, " bytes of data cannot be ", width, "x", height, " pixels"));
  }
  const size_t row = width * (png_get_bit_depth(reader.png, reader.info) == 16 ? 8 : 4);  // as RGBA
  if (2 * row + width * height * 3 > kMostBytes)
    fail_png(name, cat("a row of ", width, " pixels is too long to be decoded"));
}

void append(void* context, void* bytes, int size) {
  const uint8_t* first = static_cast<const uint8_t*>(bytes);
  auto* out = static_cast<std::vector<uint8_t>*>(context);
  out->insert(out->end(), first, first + size);
}

}  // namespace

ImageSize png_size(const uint8_t* bytes, size_t size, const std::string& name) {
  Reader reader;
  open_png(reader, bytes, size, name);
  return {int(reader.width()), int(reader.height())};
}

Image decode_png(const uint8_t* bytes, size_t size, const std::string& name) {
  Reader reader;
  open_png(reader, bytes, size, name);
  if (!is_whole(bytes, size)) fail_png(name, cat("it breaks off after ", size, " bytes"));
  check_cost(reader, size, name);
  Image image(int(reader.width()), int(reader.height()));
  reader.image = &image;
  reader.pixels_left = size_t(image.width) * size_t(image.height);
  if (!feed(reader, bytes + kStartBytes, size - kStartBytes)) fail_png(name, reader.message);
  if (reader.pixels_left > 0) fail_png(name, "its pixels break off or are damaged");
  return image;
}

std::vector<uint8_t> encode_png(const Image& image, const PngTexts& texts) {
  check_image_size(image.width, image.height, "PNG to write");
  std::vector<uint8_t> bytes;
  if (!stbi_write_png_to_func(append, &bytes, image.width, image.height, 3, image.rgb.data(),
                              image.width * 3)) {
    fail(cat("cannot encode a PNG of ", image.width, "x", image.height, " pixels: out of memory"));
  }
  return texts.empty() ? bytes : with_texts(bytes, texts);
}

}  // namespace ito::data
