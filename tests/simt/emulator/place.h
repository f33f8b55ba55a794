#pragma once

#include <cstring>
#include <ostream>

namespace simt {

/// A place in a kernel's source, for messages. As a default argument, `const Place& = {}`: that of the
/// caller.
struct Place {
  const char* file;
  int line;
  constexpr Place(const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : file(file), line(line) {}
};
inline bool operator==(const Place& a, const Place& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}
inline std::ostream& operator<<(std::ostream& out, const Place& p) { return out << p.file << ":" << p.line; }

}  // namespace simt
