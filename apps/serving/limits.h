#pragma once

#include <cstddef>
#include <utility>

namespace ito::apps {

/// An open file of the system's, such as a socket; closed with this object.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept { std::swap(number_, other.number_); }
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }

 private:
  int number_ = -1;
};

/// How long clients may take, in seconds, and how many there may be.
struct ServerLimits {
  double head = 10;     // for a request's head, from its first byte on
  double idle = 30;     // without a request
  double sending = 20;  // without taking a byte of an answer
  size_t connections = 96;
};

/// Bytes of a request's head, and of the address in it.
inline constexpr size_t kMostHeadBytes = 8192, kMostTargetBytes = 4096;

}  // namespace ito::apps
