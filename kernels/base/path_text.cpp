#include "kernels/base/path_text.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>

namespace ito {

namespace {

constexpr const char* kDigits = "0123456789ABCDEF";

std::string hexadecimal(char byte) {
  const auto value = static_cast<unsigned char>(byte);
  return {kDigits[value >> 4], kDigits[value & 15]};
}

/// Bytes of the UTF-8 character that `text` begins with; 0: it begins with none. No overlong form, no surrogate, and
/// nothing beyond U+10FFFF.
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if ((first & 0xF0) == 0xE0) {
    const bool allowed = (first != 0xE0 || second >= 0xA0) && (first != 0xED || second < 0xA0);
    return allowed && continues(1) && continues(2) ? 3 : 0;
  }
  if (first < 0xF0 || first > 0xF4) return 0;
  const bool allowed = (first != 0xF0 || second >= 0x90) && (first != 0xF4 || second < 0x90);
  return allowed && continues(1) && continues(2) && continues(3) ? 4 : 0;
}

/// Whether a terminal shows the word as it is.
bool is_printable(const std::string& word) {
  const bool controls =
      std::any_of(word.begin(), word.end(), [](unsigned char c) { return c < 32 || c == 127; });
  return !controls && as_utf8(word) == word;
}

/// $'...', in which any byte can be written.
std::string with_escapes(const std::string& word) {
  std::string text = "$'";
  for (const char c : word) {
    if (c == '\'' || c == '\\')
      text += {'\\', c};
    else
      text += static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126
                  ? "\\x" + hexadecimal(c)
                  : std::string(1, c);
  }
  return text + "'";
}

}  // namespace

std::string as_utf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t length = character_length(text);
    result += length ? std::string(text.substr(0, length)) : "%" + hexadecimal(text[0]);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
}

std::string shell_quoted(const std::string& word) {
  const auto is_plain = [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) ||
           std::string_view("_@%+=:,./-").find(char(c)) != std::string_view::npos;
  };
  if (!is_printable(word)) return with_escapes(word);
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

}  // namespace ito
