#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

/// Unsigned numbers as the bytes of a file: little-endian has the lowest byte first, big-endian the highest.
/// They may lie at any address, and the machine's own order does not matter.
namespace ito {

namespace byte_order {

template <class T>
T reversed(T value) {
  static_assert(sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8);
  if constexpr (sizeof(T) == 2) return T(__builtin_bswap16(uint16_t(value)));
  if constexpr (sizeof(T) == 4) return T(__builtin_bswap32(uint32_t(value)));
  return T(__builtin_bswap64(uint64_t(value)));
}

template <std::endian order, class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return order == std::endian::native ? value : reversed(value);
}

}  // namespace byte_order

/// All bytes of a type of 16, 32 or 64 bits.
template <class T>
T load_little(const void* from) {
  return byte_order::load<std::endian::little, T>(from);
}
template <class T>
T load_big(const void* from) {
  return byte_order::load<std::endian::big, T>(from);
}

/// A number of so many bytes, 8 at most.
inline uint64_t load_little(const void* from, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<const unsigned char*>(from)[i];
  return value;
}

/// The lowest `bytes` bytes of a value, 8 at most.
inline void store_little(void* to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) static_cast<unsigned char*>(to)[i] = uint8_t(value >> 8 * i);
}
inline void store_big(void* to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) static_cast<unsigned char*>(to)[bytes - 1 - i] = uint8_t(value >> 8 * i);
}
inline std::string little_endian(uint64_t value, size_t bytes) {
  std::string text(bytes, '\0');
  store_little(text.data(), value, bytes);
  return text;
}

}  // namespace ito
