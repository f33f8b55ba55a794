#include <algorithm>
#include <cstring>

#include "engine/io/zip.h"
#include "engine/io/zip_format.h"
#include "kernels/base/error.h"

namespace ito::io {

ZipStream::ZipStream(const ZipReader& zip, const ZipEntry& entry)
    : zip_(&zip), entry_(&entry), stored_(zip.packed(entry)) {
  if (entry.method == zip::kDeflated) {
    const auto next = [rest = stored_]() mutable {
      const std::string_view piece = rest.substr(0, size_t(1) << 30);  // zlib counts in 32 bits
      rest.remove_prefix(piece.size());
      return piece;
    };
    inflater_ = std::make_unique<Inflater>(next);
  }
  check_end();
}

void ZipStream::fail_entry(const std::string& what) const { fail(cat(zip_->place(*entry_), ": ", what)); }

void ZipStream::check_end() const {
  if (left() == 0 && checksum_ != entry_->checksum) fail_entry("its checksum is wrong");
}

void ZipStream::read(void* to, uint64_t bytes) {
  if (bytes == 0) return;
  if (bytes > left()) fail_entry(cat("has ", left(), " bytes left, and ", bytes, " are needed"));
  uint8_t* const out = static_cast<uint8_t*>(to);
  if (!inflater_) {
    std::memcpy(out, stored_.data() + done_, bytes);
  } else if (!inflater_->read(out, bytes)) {
    fail_entry("its compressed data is damaged");
  }
  checksum_ = crc32(out, bytes, checksum_);
  done_ += bytes;
  check_end();
}

}  // namespace ito::io
