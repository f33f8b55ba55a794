#include <algorithm>

#include "data/pictures/codecs.h"
#include "kernels/base/error.h"

/// Binary PGM (P5) and PPM (P6), after the netpbm manual.
namespace ito::data {
namespace {

struct Header {
  int width = 0, height = 0, channels = 0;
  int largest = 0;    // the value of white
  size_t pixels = 0;  // offset of the first sample
};

bool is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The next number of the header, past blanks and comments (from '#' to the end of the line).
int read_number(const uint8_t* bytes, size_t size, size_t& at, const std::string& name) {
  while (at < size && (is_blank(bytes[at]) || bytes[at] == '#')) {
    if (bytes[at] == '#') {
      while (at < size && bytes[at] != '\n' && bytes[at] != '\r') ++at;
    } else {
      ++at;
    }
  }
  int64_t value = -1;
  for (; at < size && bytes[at] >= '0' && bytes[at] <= '9'; ++at) {
    value = (value < 0 ? 0 : value * 10) + (bytes[at] - '0');
    if (value > 1'000'000'000) break;
  }
  if (value < 0 || value > 1'000'000'000)
    fail(cat(name, ": unreadable PGM or PPM: bad number in its header"));
  return int(value);
}

Header read_header(const uint8_t* bytes, size_t size, const std::string& name) {
  Header header;
  header.channels = bytes[1] == '6' ? 3 : 1;
  size_t at = 2;
  header.width = read_number(bytes, size, at, name);
  header.height = read_number(bytes, size, at, name);
  header.largest = read_number(bytes, size, at, name);
  check_image_size(header.width, header.height, name);
  if (header.largest < 1 || header.largest > 65535) {
    fail(cat(name, ": unreadable PGM or PPM: its largest value ", header.largest, " is not in 1..65535"));
  }
  header.pixels = at + 1;  // exactly one blank ends the header
  return header;
}

}  // namespace

ImageSize pnm_size(const uint8_t* bytes, size_t size, const std::string& name) {
  const Header header = read_header(bytes, size, name);
  return {header.width, header.height};
}

Image decode_pnm(const uint8_t* bytes, size_t size, const std::string& name) {
  const Header header = read_header(bytes, size, name);
  const size_t sample_bytes = header.largest > 255 ? 2 : 1;
  const size_t pixels = size_t(header.width) * size_t(header.height);
  const size_t needed = header.pixels + pixels * size_t(header.channels) * sample_bytes;
  if (size < needed) {
    fail(cat(name, ": unreadable PGM or PPM: ", size, " bytes where its header promises ", needed));
  }
  Image image(header.width, header.height);
  const uint8_t* source = bytes + header.pixels;
  const int largest = header.largest;
  const int step = header.channels == 3 ? 1 : 0;
  const auto sample = [&](size_t i) {
    const int value = sample_bytes == 1 ? source[i] : source[2 * i] * 256 + source[2 * i + 1];
    return uint8_t((std::min(value, largest) * 255 + largest / 2) / largest);
  };
  for (size_t i = 0; i < pixels; ++i) {
    for (size_t c = 0; c < 3; ++c)
      image.rgb[3 * i + c] = sample(i * size_t(header.channels) + c * size_t(step));
  }
  return image;
}

}  // namespace ito::data
