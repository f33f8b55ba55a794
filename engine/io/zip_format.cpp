#include "engine/io/zip_format.h"

#include <zlib.h>

#include <algorithm>

#include "kernels/error.h"

namespace ito::io::zip {
namespace {

constexpr uint64_t kPiece = 1 << 30;  // zlib counts in 32 bits

/// Feeds `in` through step(stream, flush) into `out`, which is large enough; the bytes that came out, or
/// nothing unless the stream ended with the input.
template <class Step>
bool run(z_stream& stream, std::string_view in, uint8_t* out, uint64_t room, uint64_t& came, Step step) {
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.next_out = out;
  uint64_t in_left = in.size(), out_left = room;
  int state = Z_OK;
  while (state == Z_OK) {
    const uint64_t in_piece = std::min(in_left, kPiece), out_piece = std::min(out_left, kPiece);
    stream.avail_in = uInt(in_piece), stream.avail_out = uInt(out_piece);
    state = step(&stream, in_piece == in_left ? Z_FINISH : Z_NO_FLUSH);
    in_left -= in_piece - stream.avail_in, out_left -= out_piece - stream.avail_out;
    const bool moved = in_piece != stream.avail_in || out_piece != stream.avail_out;
    if (state == Z_BUF_ERROR && moved) state = Z_OK;  // the piece was too small, not the input
  }
  came = room - out_left;
  return state == Z_STREAM_END && in_left == 0;
}

}  // namespace

std::string complaint_about(std::string_view name) {
  if (name.empty()) return "has no name";
  if (name.size() > kMost16) return "has a name of more than 65535 bytes";
  if (name.find('\0') != std::string_view::npos) return "has a zero byte in its name";
  if (name[0] == '/' || name[0] == '\\' || (name.size() > 1 && name[1] == ':')) {
    return "has an absolute path";
  }
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", begin), name.size());
    if (name.substr(begin, end - begin) == "..") return "has a path with '..'";
    begin = end + 1;
  }
  return "";
}

bool inflate_all(std::string_view packed, uint8_t* out, uint64_t size) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail("zlib cannot start: is memory full?");
  uint8_t nothing;  // zlib wants somewhere to write, even for an empty file
  uint64_t came = 0;
  const bool whole = run(stream, packed, size > 0 ? out : &nothing, size, came,
                         [](z_stream* s, int) { return inflate(s, Z_NO_FLUSH); });
  inflateEnd(&stream);
  return whole && came == size;
}

std::vector<uint8_t> deflate_all(std::string_view bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    fail("zlib cannot start: is memory full?");
  }
  std::vector<uint8_t> packed(deflateBound(&stream, uLong(bytes.size())));
  uint64_t came = 0;
  const bool whole = run(stream, bytes, packed.data(), packed.size(), came, deflate);
  deflateEnd(&stream);
  if (!whole) fail(cat("zlib cannot deflate ", bytes.size(), " bytes"));
  packed.resize(came);
  return packed;
}

}  // namespace ito::io::zip
