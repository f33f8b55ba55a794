#pragma once

#include <string>
#include <string_view>

namespace ito::io {

/// A name out of a file as an error may carry it: of bounded length, and without control characters, which a
/// terminal obeys.
inline std::string printable(std::string_view name) {
  constexpr size_t kMost = 200;
  std::string text(name.substr(0, kMost));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return name.size() > kMost ? text + "..." : text;
}

}  // namespace ito::io
