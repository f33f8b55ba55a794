#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ito {

/// Changes of options, each of which would help: phrases with the options' names in braces, such as "a smaller
/// {size}" or "{crop} none". A library does not know how its user sets an option; a program shows its own flags.
using Advice = std::vector<std::string>;

/// What every layer throws: what was wrong and the values involved. `what()` is the sentence for the user, `advice()`
/// which options to change, `location()` "file:line" of the check that failed.
class Error : public std::runtime_error {
 public:
  Error(const std::string& message, std::string location, Advice advice = {})
      : std::runtime_error(message), location_(std::move(location)), advice_(std::move(advice)) {}
  const std::string& location() const { return location_; }
  const Advice& advice() const { return advice_; }
  /// Throws the same error with the place before its message: "<place>: <message>".
  [[noreturn]] void rethrow_at(const std::string& place) const {
    raise(place + ": " + what());
    __builtin_unreachable();
  }

 protected:
  /// Throws this error, as what it is, with another message.
  virtual void raise(const std::string& message) const { throw Error(message, location_, advice_); }

 private:
  std::string location_;
  Advice advice_;
};

/// There is not enough memory for what was asked. Programs add which of their flags need less.
class OutOfMemory : public Error {
 public:
  using Error::Error;

 protected:
  void raise(const std::string& message) const override { throw OutOfMemory(message, location(), advice()); }
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
[[noreturn]] inline void fail_advising(const std::string& message, Advice advice,
                                       const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  throw Error(message, cat(file, ":", line), std::move(advice));
}
[[noreturn]] inline void fail_memory(const std::string& message, const char* file = __builtin_FILE(),
                                     int line = __builtin_LINE()) {
  throw OutOfMemory("out of memory: " + message, cat(file, ":", line));
}

}  // namespace ito
