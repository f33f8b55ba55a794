#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

struct z_stream_s;

namespace ito::io {

/// Undoes zlib's compression (RFC 1950), or deflate's without zlib's frame (RFC 1951), as far as is asked
/// for, whatever the stream would grow to.
class Inflater {
 public:
  enum class Frame { zlib, none };

  /// `next` gives the compressed bytes, a piece at a time; nothing where there are no more.
  explicit Inflater(std::function<std::string_view()> next, Frame frame = Frame::zlib);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// The next `size` bytes. False if the stream is damaged or ends before them.
  bool read(uint8_t* out, size_t size);

 private:
  std::function<std::string_view()> next_;
  std::unique_ptr<z_stream_s> stream_;
};

/// CRC-32 as in zip archives, gzip and PNG (ISO 3309), of what has the CRC `before` and the bytes behind it.
uint32_t crc32(const uint8_t* bytes, size_t size, uint32_t before = 0);

}  // namespace ito::io
