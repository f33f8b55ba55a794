#include <doctest/doctest.h>
#include <zlib.h>

#include <string>

#include "engine/io/inflate.h"
#include "kernels/base/philox.h"

using namespace ito::io;

namespace {

/// Compressible, and not all equal.
std::string text_of_length(size_t length) {
  std::string text;
  for (uint32_t i = 0; text.size() < length; ++i)
    text += std::to_string(ito::random_block({i, ito::Purpose::test}, 0).v[0] % 1000);
  text.resize(length);
  return text;
}

std::string_view view(const std::vector<uint8_t>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// By zlib's own one-call functions.
std::string wrapped(const std::string& text) {
  std::string packed(compressBound(text.size()), '\0');
  uLongf size = packed.size();
  REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                   reinterpret_cast<const Bytef*>(text.data()), text.size()) == Z_OK);
  packed.resize(size);
  return packed;
}

bool is_whole(std::string_view packed, const std::string& text) {
  std::string out(text.size(), '?');
  return inflate_all(packed, reinterpret_cast<uint8_t*>(out.data()), out.size()) && out == text;
}

/// Inflates pieces of `piece` bytes in steps of `step`.
bool inflates(std::string_view packed, const std::string& text, size_t piece, size_t step) {
  Inflater inflater([&] {
    const std::string_view next = packed.substr(0, piece);
    packed.remove_prefix(next.size());
    return next;
  });
  std::string out(text.size(), '?');
  for (size_t at = 0; at < out.size(); at += step)
    if (!inflater.read(reinterpret_cast<uint8_t*>(out.data()) + at, std::min(step, out.size() - at)))
      return false;
  return inflater.ends() && out == text;
}

}  // namespace

TEST_CASE("what is deflated inflates to itself, and to nothing longer or shorter") {
  for (const size_t length : {0, 1, 2, 1000, 300'000}) {
    CAPTURE(length);
    const std::string text = text_of_length(length);
    const std::vector<uint8_t> packed = deflate_all(text);
    CHECK(packed == deflate_all(text));
    CHECK(packed.size() < length / 2 + 20);
    CHECK(is_whole(view(packed), text));
    CHECK_FALSE(is_whole(view(packed), text + "1"));
    if (length > 0) CHECK_FALSE(is_whole(view(packed), text.substr(1)));
    if (length > 0) CHECK_FALSE(is_whole(view(packed), text.substr(0, length - 1)));
    CHECK_FALSE(is_whole(view(packed).substr(0, packed.size() - 1), text));
    CHECK_FALSE(is_whole(std::string(view(packed)) + '\0', text));
    CHECK_FALSE(is_whole(wrapped(text), text));
  }
}

TEST_CASE("streams in pieces of any size") {
  const std::string text = text_of_length(10'000), packed(view(deflate_all(text)));
  for (const size_t piece : {size_t(1), size_t(7), packed.size() - 1, packed.size(), size_t(1) << 20})
    for (const size_t step : {1, 100, 9999, 10'000}) {
      CAPTURE(piece);
      CAPTURE(step);
      CHECK(inflates(packed, text, piece, step));
    }
  CHECK(inflates(view(deflate_all("")), "", 3, 1));
  CHECK_FALSE(inflates(packed.substr(0, packed.size() - 1), text, 64, 64));
  CHECK_FALSE(inflates(packed + "x", text, 64, 64));
  CHECK_FALSE(inflates(wrapped(text), text, 64, 64));
}

TEST_CASE("crc32 has the value of the standards' example") {
  CHECK(ito::io::crc32("123456789", 9) == 0xCBF43926u);
  CHECK(ito::io::crc32("456789", 6, ito::io::crc32("123", 3)) == 0xCBF43926u);
  CHECK(ito::io::crc32("", 0) == 0);
  CHECK(ito::io::crc32(nullptr, 0, 7) == 7);
}
