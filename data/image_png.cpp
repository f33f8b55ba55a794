#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "data/image_codecs.h"
#include "engine/io/inflate.h"
#include "kernels/base/error.h"

/// PNG after the specification, 3rd edition (w3.org/TR/png-3). Read row by row: beside the picture itself
/// memory holds two rows, whatever the file's data would unpack to.
namespace ito::data {
namespace {

constexpr size_t kSignatureBytes = 8, kHeaderBytes = 13;
constexpr size_t kMostExpansion = 1032;           // deflate's: two bits for 258 bytes
constexpr size_t kMostBytes = size_t(400) << 20;  // of a picture and its two rows

enum Color : uint8_t { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 };

struct Header {
  uint32_t width = 0, height = 0;
  int depth = 0;  // bits of a sample
  uint8_t color = grey;
  bool interlaced = false;

  int channels() const { return color == rgb ? 3 : color == grey_alpha ? 2 : color == rgb_alpha ? 4 : 1; }
  size_t row_bytes(size_t pixels) const { return (pixels * size_t(channels() * depth) + 7) / 8; }
};

/// A file's parts.
struct Chunks {
  std::array<uint8_t, 256 * 3> colors{};  // of a palette; black where it gives none
  bool has_palette = false;
  std::vector<uint8_t> transparency;  // alphas of the palette, or the 16-bit samples of the colour that is
  std::vector<std::string_view> data;
};

/// Which pixels of the picture a pass holds: from (x, y) in steps. Without interlacing there is one pass.
struct Pass {
  uint32_t x, y, step_x, step_y;
};
constexpr Pass kWhole[] = {{0, 0, 1, 1}};
constexpr Pass kAdam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                           {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3];
}

[[noreturn]] void fail_png(const std::string& name, const std::string& what) {
  fail(cat(name, ": unreadable PNG: ", what));
}

Header read_header(const uint8_t* bytes, size_t size, const std::string& name) {
  const uint8_t* chunk = bytes + kSignatureBytes;
  if (size < kSignatureBytes + 8 + kHeaderBytes || big_endian(chunk) != kHeaderBytes ||
      !std::equal(chunk + 4, chunk + 8, "IHDR")) {
    fail_png(name, "it has no header");
  }
  const uint8_t* fields = chunk + 8;
  Header header;
  header.width = big_endian(fields), header.height = big_endian(fields + 4);
  header.depth = fields[8], header.color = fields[9], header.interlaced = fields[12] == 1;
  check_image_size(header.width, header.height, name);
  const int depth = header.depth;
  const bool small = depth == 1 || depth == 2 || depth == 4;
  const bool known = header.color == grey      ? small || depth == 8 || depth == 16
                     : header.color == palette ? small || depth == 8
                     : header.color == rgb || header.color == grey_alpha || header.color == rgb_alpha
                         ? depth == 8 || depth == 16
                         : false;
  if (!known) fail_png(name, cat("there is no colour type ", int(header.color), " with ", depth, " bits"));
  if (fields[10] != 0 || fields[11] != 0 || fields[12] > 1) {
    fail_png(name, "its compression, filter or interlacing is none that is known");
  }
  return header;
}

void keep_chunk(std::string_view type, std::string_view content, Chunks& chunks, const std::string& name) {
  if (type == "IDAT") {
    chunks.data.push_back(content);
  } else if (type == "PLTE") {
    if (chunks.has_palette || content.size() > chunks.colors.size() || content.size() % 3 != 0) {
      fail_png(name, "its palette is not 1 to 256 colours");
    }
    chunks.has_palette = true;
    std::copy(content.begin(), content.end(), chunks.colors.begin());
  } else if (type == "tRNS") {
    chunks.transparency.assign(content.begin(), content.end());
  } else if (type != "IHDR" && (type[0] & 32) == 0) {  // a capital: needed to understand the rest
    fail_png(name, cat("it needs '", type, "', which is not known here"));
  }
}

/// Every chunk is whole and as it was written, up to the end chunk.
Chunks read_chunks(const uint8_t* bytes, size_t size, const std::string& name) {
  constexpr size_t kAround = 12;  // length, type and CRC
  Chunks chunks;
  for (size_t at = kSignatureBytes; at + kAround <= size;) {
    const uint32_t length = big_endian(bytes + at);
    if (length > size - at - kAround) break;
    const uint8_t* start = bytes + at + 4;
    if (io::crc32(start, length + 4) != big_endian(start + 4 + length)) {
      fail_png(name, cat("damaged at byte ", at));
    }
    const std::string_view text(reinterpret_cast<const char*>(start), length + 4);
    if (text.substr(0, 4) == "IEND") return chunks;
    keep_chunk(text.substr(0, 4), text.substr(4), chunks, name);
    at += length + kAround;
  }
  fail_png(name, cat("it breaks off after ", size, " bytes"));
}

/// Undoes a row's filter in place. `above` is the row before, zero for the first; `step` the bytes of a
/// pixel.
bool unfilter(int filter, uint8_t* row, const uint8_t* above, size_t bytes, size_t step) {
  const auto add = [&](auto&& predict) {
    const size_t begin = std::min(step, bytes);
    for (size_t i = 0; i < begin; ++i) row[i] = uint8_t(row[i] + predict(0, above[i], 0));
    for (size_t i = begin; i < bytes; ++i)
      row[i] = uint8_t(row[i] + predict(row[i - step], above[i], above[i - step]));
  };
  switch (filter) {
    case 0:
      return true;
    case 1:
      add([](int left, int, int) { return left; });
      return true;
    case 2:
      add([](int, int up, int) { return up; });
      return true;
    case 3:
      add([](int left, int up, int) { return (left + up) / 2; });
      return true;
    case 4:
      add([](int left, int up, int corner) {
        const int to_left = std::abs(up - corner), to_up = std::abs(left - corner),
                  to_corner = std::abs(left + up - 2 * corner);
        return to_left <= to_up && to_left <= to_corner ? left : to_up <= to_corner ? up : corner;
      });
      return true;
    default:
      return false;
  }
}

class Decoder {
 public:
  Decoder(const Header& header, const Chunks& chunks, const std::string& name)
      : header_(header), chunks_(chunks), name_(name), inflater_([this] { return next_data(); }) {
    if (header.color == palette && !chunks.has_palette) fail_png(name, "it has no palette");
    const size_t keyed = header.color == grey ? 2 : header.color == rgb ? 6 : 0;
    has_key_ = keyed > 0 && !chunks.transparency.empty();
    if (has_key_ && chunks.transparency.size() != keyed) fail_png(name, "its transparent colour is cut");
    check_promise();
  }

  Image picture() {
    Image image(int(header_.width), int(header_.height));
    for_each_pass([&](const Pass& pass, size_t columns) { read_pass(pass, columns, image); });
    return image;
  }

 private:
  template <class Take>
  void for_each_pass(Take&& take) const {
    const Pass* first = header_.interlaced ? std::begin(kAdam7) : std::begin(kWhole);
    const Pass* last = header_.interlaced ? std::end(kAdam7) : std::end(kWhole);
    for (; first != last; ++first) {
      if (first->x >= header_.width || first->y >= header_.height) continue;
      take(*first, (header_.width - first->x + first->step_x - 1) / first->step_x);
    }
  }

  /// A few bytes must not take the memory of a large picture.
  void check_promise() const {
    size_t packed = 0, unpacked = 0;
    for (const std::string_view piece : chunks_.data) packed += piece.size();
    for_each_pass([&](const Pass& pass, size_t columns) {
      const size_t rows = (header_.height - pass.y + pass.step_y - 1) / pass.step_y;
      unpacked += rows * (1 + header_.row_bytes(columns));
    });
    if (unpacked / kMostExpansion > packed) {
      fail_png(name_, cat("its ", packed, " bytes of data cannot be ", header_.width, "x", header_.height,
                          " pixels"));
    }
    const size_t two_rows = 2 * (1 + header_.row_bytes(header_.width));
    if (two_rows + size_t(header_.width) * header_.height * 3 > kMostBytes)
      fail_png(name_, cat("a row of ", header_.width, " pixels is too long to be decoded"));
  }

  std::string_view next_data() {
    while (next_piece_ < chunks_.data.size()) {
      const std::string_view piece = chunks_.data[next_piece_++];
      if (!piece.empty()) return piece;
    }
    return {};
  }

  void read_pass(const Pass& pass, size_t columns, Image& image) {
    const size_t bytes = header_.row_bytes(columns);
    const size_t step = size_t(std::max(1, header_.channels() * header_.depth / 8));
    std::vector<uint8_t> row(1 + bytes), above(1 + bytes, 0);  // the filter's number first
    for (uint32_t y = pass.y; y < header_.height; y += pass.step_y) {
      if (!inflater_.read(row.data(), row.size())) fail_png(name_, "its pixels break off or are damaged");
      if (!unfilter(row[0], row.data() + 1, above.data() + 1, bytes, step)) {
        fail_png(name_, cat("a row has the unknown filter ", int(row[0])));
      }
      put_row(row.data() + 1, columns, image.pixel(int(pass.x), int(y)), 3 * size_t(pass.step_x));
      std::swap(row, above);
    }
  }

  /// Sample i of a row, in the picture's own depth.
  int sample(const uint8_t* row, size_t i) const {
    const size_t depth = size_t(header_.depth);
    if (depth == 8) return row[i];
    if (depth == 16) return row[2 * i] << 8 | row[2 * i + 1];
    return row[i * depth / 8] >> (8 - depth - i * depth % 8) & ((1 << depth) - 1);
  }

  /// From the picture's depth to 8 bits; of 16 the higher 8.
  int to_byte(int value) const {
    return header_.depth == 16 ? value >> 8 : value * 255 / ((1 << header_.depth) - 1);
  }

  bool is_key(const uint8_t* row, size_t first, size_t colors) const {
    for (size_t c = 0; c < colors; ++c) {
      const uint8_t* key = chunks_.transparency.data() + 2 * c;
      if (sample(row, first + c) != (key[0] << 8 | key[1])) return false;
    }
    return true;
  }

  /// One row's pixels as RGB over white, `step` bytes apart.
  void put_row(const uint8_t* row, size_t columns, uint8_t* out, size_t step) const {
    const size_t channels = size_t(header_.channels()), colors = channels >= 3 ? 3 : 1;
    const std::vector<uint8_t>& alphas = chunks_.transparency;
    for (size_t x = 0; x < columns; ++x, out += step) {
      const size_t first = x * channels;
      int alpha = 255;
      if (header_.color == palette) {
        const size_t index = size_t(sample(row, x));
        std::copy_n(chunks_.colors.data() + 3 * index, 3, out);
        if (index < alphas.size()) alpha = alphas[index];
      } else {
        for (size_t c = 0; c < 3; ++c)
          out[c] = uint8_t(to_byte(sample(row, first + std::min(c, colors - 1))));
        if (channels > colors) alpha = to_byte(sample(row, first + colors));
        if (has_key_ && is_key(row, first, colors)) alpha = 0;
      }
      if (alpha == 255) continue;
      for (size_t c = 0; c < 3; ++c) out[c] = uint8_t((out[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }

  const Header& header_;
  const Chunks& chunks_;
  const std::string& name_;
  bool has_key_ = false;
  size_t next_piece_ = 0;
  io::Inflater inflater_;
};

void append(void* context, void* bytes, int size) {
  const uint8_t* first = static_cast<const uint8_t*>(bytes);
  auto* out = static_cast<std::vector<uint8_t>*>(context);
  out->insert(out->end(), first, first + size);
}

}  // namespace

ImageSize png_size(const uint8_t* bytes, size_t size, const std::string& name) {
  const Header header = read_header(bytes, size, name);
  return {int(header.width), int(header.height)};
}

Image decode_png(const uint8_t* bytes, size_t size, const std::string& name) {
  const Header header = read_header(bytes, size, name);
  const Chunks chunks = read_chunks(bytes, size, name);
  return Decoder(header, chunks, name).picture();
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
