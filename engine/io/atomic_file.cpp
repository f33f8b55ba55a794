#include "engine/io/atomic_file.h"

#include <string>
#include <system_error>

#include "kernels/base/error.h"

namespace ito::io {
namespace fs = std::filesystem;

AtomicFile::AtomicFile(const fs::path& path, Leftovers leftovers)
    : path_(path), temporary_(path, Temporary::Kind::file, leftovers) {
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))
    fail(cat(path.string(), ": is not a regular file, so it is not replaced; name another"));
}

void AtomicFile::write(const void* data, uint64_t bytes) { temporary_.file().write(data, bytes); }

void AtomicFile::commit(bool durable) {
  if (durable) temporary_.file().sync();
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
  return read_whole<std::string>(path, max_bytes);
}

}  // namespace ito::io
