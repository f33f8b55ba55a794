#include "engine/io/zip_format.h"

#include <algorithm>

namespace ito::io::zip {

std::string complaint_about(std::string_view name) {
  if (name.empty()) return "has no name";
  if (name.size() > kMost16) return "has a name of more than 65535 bytes";
  if (name.find('\0') != std::string_view::npos) return "has a zero byte in its name";
  if (name[0] == '/' || name[0] == '\\' || (name.size() > 1 && name[1] == ':')) {
    return "has an absolute path";
  }
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", begin), name.size());
    if (name.substr(begin, end - begin) == "..") return "has a path with '..'";
    begin = end + 1;
  }
  return "";
}

}  // namespace ito::io::zip
