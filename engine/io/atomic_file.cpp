#include "engine/io/atomic_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "engine/io/mapped_file.h"
#include "kernels/base/error.h"

namespace ito::io {
namespace fs = std::filesystem;

AtomicFile::AtomicFile(const fs::path& path) : path_(path), temporary_(path, Temporary::Kind::file) {}

void AtomicFile::write(const void* data, uint64_t bytes) {
  const char* position = static_cast<const char*>(data);
  constexpr uint64_t kLargestCall = 1 << 30;  // Linux writes at most 2 GiB a call
  while (bytes > 0) {
    const ssize_t written = ::write(temporary_.descriptor(), position, std::min(bytes, kLargestCall));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail(cat(path_.string(), ": cannot write: ", reason_of(errno)));
    position += written, bytes -= uint64_t(written);
  }
}

void AtomicFile::commit(bool durable) {
  if (durable && fsync(temporary_.descriptor()) != 0 && errno != EINVAL) {
    fail(cat(path_.string(), ": cannot flush to disk: ", reason_of(errno)));
  }
  std::error_code error;
  fs::rename(temporary_.path(), path_, error);
  if (error) fail(cat(path_.string(), ": cannot put the finished file in place: ", reason_of(error.value())));
  temporary_.release();
  if (durable) sync_path(folder_of(path_));
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

void write_link_atomic(const fs::path& link, const fs::path& target) {
  std::error_code error;
  if (fs::read_symlink(link, error) == target && !error) return;
  if (fs::exists(fs::symlink_status(link)) && !fs::is_symlink(link))
    fail(cat(link.string(), ": is in the way of a link of that name: move it elsewhere"));
  const fs::path fresh = folder_of(link) / cat(".", link.filename().string(), ".tmp");
  fs::remove(fresh, error);  // of a writer that was killed
  fs::create_symlink(target, fresh, error);
  if (!error) fs::rename(fresh, link, error);
  if (error) fail(cat(link.string(), ": cannot point to ", target.string(), ": ", reason_of(error.value())));
  sync_path(folder_of(link));
}

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  const MappedFile file(path);
  if (file.size() > max_bytes) {
    fail(cat(path.string(), ": has ", file.size(), " bytes, expected at most ", max_bytes));
  }
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

}  // namespace ito::io
