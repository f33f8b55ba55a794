#include "engine/io/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "kernels/error.h"

namespace ito::io {

Inflater::Inflater(std::function<std::string_view()> next, Frame frame)
    : next_(std::move(next)), stream_(std::make_unique<z_stream>()) {
  const int window = frame == Frame::zlib ? MAX_WBITS : -MAX_WBITS;
  if (inflateInit2(stream_.get(), window) != Z_OK)
    fail("zlib has no memory to begin with: close other programs");
}

Inflater::~Inflater() { inflateEnd(stream_.get()); }

bool Inflater::read(uint8_t* out, size_t size) {
  constexpr size_t kMost = std::numeric_limits<uInt>::max();
  z_stream& stream = *stream_;
  while (size > 0) {
    if (stream.avail_in == 0) {
      const std::string_view piece = next_();
      if (piece.size() > kMost) return false;
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
      stream.avail_in = uInt(piece.size());
    }
    const uInt wanted = uInt(std::min(size, kMost));
    stream.next_out = out;
    stream.avail_out = wanted;
    const int status = inflate(&stream, Z_NO_FLUSH);
    const size_t made = wanted - stream.avail_out;
    out += made, size -= made;
    if (status != Z_OK && (status != Z_STREAM_END || size > 0)) return false;
  }
  return true;
}

uint32_t crc32(const uint8_t* bytes, size_t size, uint32_t before) {
  return size == 0 ? before : uint32_t(::crc32_z(before, bytes, size));
}

}  // namespace ito::io
