#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace ito {

/// A 64-bit hash that is built up piece by piece, for file names and checksums: it detects damage and change,
/// not malice. Eight bytes a step: state = rotate(state ^ word, 29) * odd constant; the finish mixes high
/// bits down.
class Hash {
 public:
  /// Any bytes; their number counts too, so that ("ab", "c") and ("a", "bc") differ.
  Hash& add(const void* bytes, size_t size) {
    const unsigned char* at = static_cast<const unsigned char*>(bytes);
    add(uint64_t(size));
    for (; size >= 8; size -= 8, at += 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      mix(word);
    }
    if (size > 0) {
      uint64_t word = 0;
      std::memcpy(&word, at, size);
      mix(word);
    }
    return *this;
  }
  Hash& add(std::string_view text) { return add(text.data(), text.size()); }
  Hash& add(uint64_t number) {
    mix(number);
    return *this;
  }

  uint64_t value() const {
    uint64_t x = state_;
    x = (x ^ (x >> 32)) * kOdd;
    x = (x ^ (x >> 29)) * kOdd;
    return x ^ (x >> 32);
  }

 private:
  static constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
  void mix(uint64_t word) {
    const uint64_t x = state_ ^ word;
    state_ = ((x << 29) | (x >> 35)) * kOdd;
  }

  uint64_t state_ = 0x243F6A8885A308D3u;  // the first digits of pi
};

/// 16 hexadecimal digits.
inline std::string hex(uint64_t value) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

}  // namespace ito
