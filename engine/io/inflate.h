#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

struct z_stream_s;

/// deflate and its checksum. zlib is only used here.
namespace ito::io {

/// Unpacks deflate's compression (RFC 1951), only as far as is asked for, however long the stream is.
class Inflater {
 public:
  /// `next` gives the compressed bytes, a piece at a time; an empty piece at the end.
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

/// CRC-32 as in zip archives and gzip (ISO 3309), of data with the CRC `before`, followed by these bytes.
uint32_t crc32(const void* bytes, size_t size, uint32_t before = 0);

}  // namespace ito::io
