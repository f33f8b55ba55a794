#include "data/pictures/png_text.h"

#include <algorithm>
#include <string_view>

#include "engine/io/inflate.h"
#include "engine/io/printable.h"
#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"
#include "kernels/base/path_text.h"

namespace ito::data {
namespace {

constexpr size_t kSignature = 8, kAround = 12;            // around a chunk's content: length, type and CRC
constexpr size_t kHeaderEnd = kSignature + kAround + 13;  // IHDR, which comes first
constexpr size_t kMostKeyword = 79;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return uint8_t(c) < 0x80; });
}

std::string utf8_of_latin1(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const uint8_t byte = uint8_t(c);
    if (byte < 0x80)
      result += c;
    else if (byte < 0xa0)
      result += '?';  // a control character
    else
      result += {char(0xc0 | byte >> 6), char(0x80 | (byte & 0x3f))};
  }
  return result;
}

constexpr size_t kMostText = 200;  // bytes

/// A text as it is kept and shown: the first bytes of a long one, without half a character at the end.
std::string kept_of(std::string_view text) {
  constexpr size_t kDots = 3;
  if (text.size() <= kMostText) return io::printable(text);
  size_t end = kMostText - kDots;
  while (end > kMostText - 2 * kDots && (uint8_t(text[end]) & 0xc0) == 0x80) --end;
  return io::printable(text.substr(0, end)) + "...";
}

/// The same for a text that may not be UTF-8: it is first converted, which makes it longer.
std::string kept_utf8(std::string_view text) { return kept_of(as_utf8(text.substr(0, 2 * kMostText))); }
std::string kept_latin1(std::string_view text) {
  return kept_of(utf8_of_latin1(text.substr(0, 2 * kMostText)));
}

void append_chunk(std::vector<uint8_t>& to, std::string_view type, std::string_view content) {
  const size_t begin = to.size();
  to.resize(begin + 4);
  store_big(to.data() + begin, content.size(), 4);
  to.insert(to.end(), type.begin(), type.end());
  to.insert(to.end(), content.begin(), content.end());
  const uint32_t checksum = io::crc32(to.data() + begin + 4, to.size() - begin - 4);
  to.resize(to.size() + 4);
  store_big(&*(to.end() - 4), checksum, 4);
}

void append_text(std::vector<uint8_t>& to, const std::string& keyword, const std::string& text) {
  if (keyword.empty() || keyword.size() > kMostKeyword || !is_ascii(keyword))
    fail(cat("'", keyword, "' cannot be a keyword of a PNG: 1 to ", kMostKeyword, " ASCII characters can"));
  const std::string kept = kept_utf8(text);
  const std::string zero(1, '\0');
  if (is_ascii(kept))
    append_chunk(to, "tEXt", keyword + zero + kept);
  else
    append_chunk(to, "iTXt", keyword + std::string(5, '\0') + kept);  // uncompressed, of no language
}

/// Takes the text up to the next zero byte, and that byte, from the front.
std::string_view take_field(std::string_view& content) {
  const size_t end = std::min(content.find('\0'), content.size());
  const std::string_view field = content.substr(0, end);
  content.remove_prefix(std::min(end + 1, content.size()));
  return field;
}

void read_text(std::string_view type, std::string_view content, PngTexts& texts) {
  const std::string keyword = kept_latin1(take_field(content));
  bool packed = type == "zTXt";
  if (type == "iTXt") {
    packed = !content.empty() && content[0] != 0;
    content.remove_prefix(std::min<size_t>(2, content.size()));
    take_field(content), take_field(content);  // the language, and the keyword in it
  }
  if (packed)
    texts.emplace_back(keyword, cat("(compressed, ", content.size(), " bytes)"));
  else
    texts.emplace_back(keyword, type == "iTXt" ? kept_utf8(content) : kept_latin1(content));
}

}  // namespace

std::vector<uint8_t> with_texts(const std::vector<uint8_t>& png, const PngTexts& texts) {
  if (png.size() < kHeaderEnd) fail(cat("not a PNG: ", png.size(), " bytes"));
  std::vector<uint8_t> result(png.begin(), png.begin() + kHeaderEnd);
  for (const auto& [keyword, text] : texts) append_text(result, keyword, text);
  result.insert(result.end(), png.begin() + kHeaderEnd, png.end());
  return result;
}

PngTexts png_texts(const uint8_t* png, size_t size) {
  PngTexts texts;
  for (size_t at = kSignature; at < size && size - at >= kAround && texts.size() < kMostTexts;) {
    const size_t length = load_big<uint32_t>(png + at);
    if (length > size - at - kAround) break;
    const uint8_t* const typed = png + at + 4;
    const std::string_view type(reinterpret_cast<const char*>(typed), 4);
    const bool is_text = type == "tEXt" || type == "iTXt" || type == "zTXt";
    if (is_text && io::crc32(typed, length + 4) == load_big<uint32_t>(typed + 4 + length))
      read_text(type, {reinterpret_cast<const char*>(typed) + 4, length}, texts);
    at += length + kAround;
  }
  return texts;
}

}  // namespace ito::data
