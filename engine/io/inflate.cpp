#include "engine/io/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "kernels/base/error.h"

namespace ito::io {
namespace {

constexpr size_t kPiece = size_t(1) << 30;  // zlib counts in 32 bits

/// Takes the first piece off `rest`.
std::string_view take_piece(std::string_view& rest) {
  const std::string_view piece = rest.substr(0, kPiece);
  rest.remove_prefix(piece.size());
  return piece;
}

void give(z_stream& stream, std::string_view piece) {
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
  stream.avail_in = uInt(piece.size());
}

[[noreturn]] void fail_start() { fail("zlib has no memory to start with: close other programs"); }

}  // namespace

Inflater::Inflater(std::function<std::string_view()> next)
    : next_(std::move(next)), stream_(std::make_unique<z_stream>()) {
  if (inflateInit2(stream_.get(), -MAX_WBITS) != Z_OK) fail_start();
}

Inflater::~Inflater() { inflateEnd(stream_.get()); }

/// Reads up to `size` bytes and sets `size` to their number; returns zlib's state.
int Inflater::step(uint8_t* out, size_t& size) {
  z_stream& stream = *stream_;
  if (stream.avail_in == 0) {
    const std::string_view piece = next_();
    if (piece.size() > kPiece) return Z_MEM_ERROR;
    give(stream, piece);
  }
  const uInt wanted = uInt(std::min(size, kPiece));
  stream.next_out = out;
  stream.avail_out = wanted;
  const int state = inflate(&stream, Z_NO_FLUSH);
  size = wanted - stream.avail_out;
  return state;
}

bool Inflater::read(uint8_t* out, size_t size) {
  while (size > 0) {
    size_t came = size;
    const int state = step(out, came);
    out += came, size -= came;
    if (state != Z_OK && (state != Z_STREAM_END || size > 0)) return false;
  }
  return true;
}

bool Inflater::ends() {
  for (;;) {
    uint8_t more;
    size_t came = 1;
    const int state = step(&more, came);
    if (came > 0) return false;
    if (state == Z_STREAM_END) return stream_->avail_in == 0 && next_().empty();
    if (state != Z_OK) return false;
  }
}

bool inflate_all(std::string_view packed, uint8_t* out, uint64_t size) {
  Inflater inflater([&] { return take_piece(packed); });
  return inflater.read(out, size) && inflater.ends();
}

std::vector<uint8_t> deflate_all(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    fail_start();
  std::vector<uint8_t> packed(deflateBound(&stream, uLong(bytes.size())));
  size_t done = 0;
  int state = Z_OK;
  for (std::string_view rest = bytes; state == Z_OK;) {
    if (stream.avail_in == 0) give(stream, take_piece(rest));
    const uInt room = uInt(std::min(packed.size() - done, kPiece));
    stream.next_out = packed.data() + done;
    stream.avail_out = room;
    state = deflate(&stream, rest.empty() ? Z_FINISH : Z_NO_FLUSH);
    done += room - stream.avail_out;
  }
  deflateEnd(&stream);
  if (state != Z_STREAM_END) fail(cat("zlib cannot deflate ", bytes.size(), " bytes"));
  packed.resize(done);
  return packed;
}

uint32_t crc32(const void* bytes, size_t size, uint32_t before) {
  return size == 0 ? before : uint32_t(::crc32_z(before, static_cast<const Bytef*>(bytes), size));
}

}  // namespace ito::io
