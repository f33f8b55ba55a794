#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ito {

/// What every layer throws: what was wrong, the values involved and what to do about it.
/// `what()` is the sentence for the user; `location()` is "file:line" of the check that failed.
class Error : public std::runtime_error {
 public:
  Error(const std::string& message, std::string location)
      : std::runtime_error(message), location_(std::move(location)) {}
  const std::string& location() const { return location_; }

 private:
  std::string location_;
};

/// There is not the memory for what was asked. Programs add which of their flags need less.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// The arguments written one after the other, as `operator<<` writes them.
template <class... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

/// Throws Error. The default arguments record the caller's place (no macro, and clang 14 accepts them).
[[noreturn]] inline void fail(const std::string& message, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  throw Error(message, cat(file, ":", line));
}
[[noreturn]] inline void fail_memory(const std::string& message, const char* file = __builtin_FILE(),
                                     int line = __builtin_LINE()) {
  throw OutOfMemory("out of memory: " + message, cat(file, ":", line));
}

}  // namespace ito
