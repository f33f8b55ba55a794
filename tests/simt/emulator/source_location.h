#pragma once

#include <cstring>
#include <ostream>

namespace simt {

/// A place in a kernel's source, for messages. As a default argument, `const SourceLocation& = {}`: that of the
/// caller.
struct SourceLocation {
  const char* file;
  int line;
  constexpr SourceLocation(const char* file = __builtin_FILE(), int line = __builtin_LINE())
      : file(file), line(line) {}
};
inline bool operator==(const SourceLocation& a, const SourceLocation& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}
inline std::ostream& operator<<(std::ostream& out, const SourceLocation& p) {
  return out << p.file << ":" << p.line;
}

}  // namespace simt
