#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/io/inflate.h"

namespace ito::fuzz {

/// The archive with the right checksum for every entry that is not compressed, so that a change of its bytes
/// reaches what reads them. What is no archive stays as it is.
inline std::string with_checksums(std::string bytes) {
  const auto number = [&](size_t at, int size) {
    uint64_t value = 0;
    for (int i = size; i-- > 0;) value = value << 8 | uint8_t(bytes[at + size_t(i)]);
    return value;
  };
  const std::string_view mark("PK\x01\x02", 4);  // of a directory's header, 46 bytes and a name
  for (size_t at = 0; (at = bytes.find(mark, at)) != std::string::npos; at += mark.size()) {
    if (bytes.size() - at < 46 || number(at + 10, 2) != 0) continue;
    const uint64_t packed = number(at + 20, 4), local = number(at + 42, 4);
    if (local >= bytes.size() || bytes.size() - local < 30) continue;
    const uint64_t data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
    if (data > bytes.size() || packed > bytes.size() - data) continue;
    const uint32_t checksum = io::crc32(reinterpret_cast<const uint8_t*>(bytes.data()) + data, packed);
    for (size_t i = 0; i < 4; ++i) bytes[at + 16 + i] = char(checksum >> 8 * i & 0xff);
  }
  return bytes;
}

}  // namespace ito::fuzz
