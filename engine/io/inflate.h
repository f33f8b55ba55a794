#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

struct z_stream_s;

/// zlib, which is called nowhere else: deflate and its checksum.
namespace ito::io {

/// Undoes deflate's compression (RFC 1951) as far as is asked for, whatever the stream would grow to.
class Inflater {
 public:
  /// `next` gives the compressed bytes, a piece at a time; nothing where there are no more.
  explicit Inflater(std::function<std::string_view()> next);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// The next `size` bytes. False if the stream is damaged or ends before them.
  bool read(uint8_t* out, size_t size);
  /// Whether the stream ends here, undamaged, and the pieces with it.
  bool ends();

 private:
  int step(uint8_t* out, size_t& size);

  std::function<std::string_view()> next_;
  std::unique_ptr<z_stream_s> stream_;
};

/// False unless `packed` is one whole stream without a frame, of `size` bytes.
bool inflate_all(std::string_view packed, uint8_t* out, uint64_t size);

/// One whole stream without a frame.
std::vector<uint8_t> deflate_all(std::string_view bytes);

/// CRC-32 as in zip archives and gzip (ISO 3309), of what has the CRC `before` and the bytes behind it.
uint32_t crc32(const void* bytes, size_t size, uint32_t before = 0);

}  // namespace ito::io
