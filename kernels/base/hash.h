#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ito {

/// A 64-bit hash that is built up piece by piece, for file names and checksums: it detects damage and change,
/// not malice. Each piece goes through xxHash's XXH3, seeded with the hash of those before it. The same on
/// every machine of its byte order.
class Hash {
 public:
  /// Any bytes; their number counts too, so that ("ab", "c") and ("a", "bc") differ.
  Hash& add(const void* bytes, size_t size);
  Hash& add(std::string_view text) { return add(text.data(), text.size()); }
  Hash& add(uint64_t number) { return add(&number, sizeof number); }

  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0;
};

/// 16 hexadecimal digits.
std::string hex(uint64_t value);

}  // namespace ito
