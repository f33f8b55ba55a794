#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/byte_order.h"
#include "kernels/base/error.h"

namespace ito::data {

/// Writes numbers and texts one after the other, as the cache's files hold them: u64 little-endian, a text after its
/// length.
class ByteWriter {
 public:
  std::vector<uint8_t> bytes;
  void put(uint64_t number) {
    bytes.resize(bytes.size() + 8);
    store_little(&*(bytes.end() - 8), number, 8);
  }
  void put(std::string_view text) {
    put(uint64_t(text.size()));
    put_bytes(text.data(), text.size());
  }
  void put_bytes(const void* data, size_t size) {
    const uint8_t* first = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), first, first + size);
  }
};

/// Reads them back. Error, without the file's name: the bytes end too early.
class ByteReader {
 public:
  ByteReader(const uint8_t* bytes, size_t size) : at_(bytes), left_(size) {}
  uint64_t number() { return load_little<uint64_t>(take(8)); }
  std::string text() {
    const uint64_t size = number();
    return std::string(reinterpret_cast<const char*>(take(size)), size);
  }
  const uint8_t* take(uint64_t size) {
    if (size > left_) fail("its description breaks off");
    const uint8_t* first = at_;
    at_ += size, left_ -= size;
    return first;
  }
  uint64_t left() const { return left_; }

 private:
  const uint8_t* at_;
  uint64_t left_;
};

}  // namespace ito::data
