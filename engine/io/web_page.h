#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace ito::io {

/// Whether a file's bytes are those of an HTML page: what a failed download leaves under the file's name.
inline bool is_web_page(std::string_view bytes) {
  std::string start(bytes.substr(0, 512));
  std::transform(start.begin(), start.end(), start.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  const size_t visible = start.find_first_not_of(" \t\r\n\xef\xbb\xbf");  // the last three: a byte order mark
  return visible != std::string::npos && start[visible] == '<' &&
         (start.find("<html") != std::string::npos || start.find("<!doctype html") == visible);
}

}  // namespace ito::io
