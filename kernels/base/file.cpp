#include "kernels/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace ito {

namespace {

struct Opening {
  int flags;
  mode_t permissions;
  const char* complaint;
};

Opening opening_of(File::Mode mode) {
  switch (mode) {
    case File::Mode::read:
      break;
    case File::Mode::folder:
      return {O_RDONLY | O_DIRECTORY, 0, "cannot open"};
    case File::Mode::names:
      return {O_PATH | O_DIRECTORY, 0, "cannot open"};
    case File::Mode::fresh:
      return {O_WRONLY | O_CREAT | O_EXCL, 0666, "cannot be made"};
    case File::Mode::append:
      return {O_WRONLY | O_CREAT | O_APPEND, 0644, "cannot open for writing"};
    case File::Mode::update:
      return {O_RDWR | O_CREAT, 0666, "cannot be made"};
    case File::Mode::existing:
      return {O_RDWR, 0, "cannot open for writing"};
    case File::Mode::lock:
      return {O_RDWR | O_CREAT, 0644, "cannot be made"};
  }
  return {O_RDONLY, 0, "cannot open"};
}

/// move(done, most) until `bytes` are moved or no more come; how many were. Then errno is 0 at a file's end.
template <class Move>
uint64_t move_all(uint64_t bytes, const Move& move) {
  constexpr uint64_t kLargestCall = 1 << 30;
  uint64_t done = 0;
  while (done < bytes) {
    errno = 0;
    const ssize_t moved = move(done, std::min(bytes - done, kLargestCall));
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) break;
    done += uint64_t(moved);
  }
  return done;
}

}  // namespace

std::string reason_of(int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return cat(std::strerror(error), full ? "; make room there" : "");
}

std::string message_of(const std::exception& error) {
  const auto* const refused = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
  return refused ? cat(refused->path1().string(), ": ", reason_of(refused->code().value())) : error.what();
}

File::File(const std::filesystem::path& path, Mode mode, const char* advice) : File(try_open(path, mode)) {
  if (!is_open()) fail_with_errno(opening_of(mode).complaint, advice);
}

File File::try_open(const std::filesystem::path& path, Mode mode, const std::filesystem::path& name) {
  const Opening opening = opening_of(mode);
  File file;
  file.name_ = name.empty() ? path : name;
  file.descriptor_ = open(path.c_str(), opening.flags | O_CLOEXEC, opening.permissions);
  return file;
}

File::~File() {
  if (is_open()) close(descriptor_);
}

File::Lock File::try_lock() const {
  for (;;) {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return Lock::ours;
    if (errno != EINTR) return errno == EWOULDBLOCK ? Lock::taken : Lock::impossible;
  }
}

bool File::lock() const {
  int result;
  do result = flock(descriptor_, LOCK_EX);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

bool File::is_at(const std::filesystem::path& path, bool follow) const {
  struct stat open_one {
  }, named_one{};
  return fstat(descriptor_, &open_one) == 0 &&
         fstatat(AT_FDCWD, path.c_str(), &named_one, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 &&
         open_one.st_dev == named_one.st_dev && open_one.st_ino == named_one.st_ino;
}

std::optional<File::Status> File::status_of(const std::string& name) const {
  struct stat status {};
  if (fstatat(is_open() ? descriptor_ : AT_FDCWD, name.c_str(), &status, 0) != 0) return {};
  return Status{uint64_t(status.st_size), status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

uint64_t File::size() const {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) fail_with_errno("cannot be asked for its size", nullptr);
  return uint64_t(status.st_size);
}

uint64_t File::regular_size() const {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode))
    fail(cat(name_.string(), ": not a regular file"));
  return uint64_t(status.st_size);
}

uint64_t File::read_at(uint64_t at, void* to, uint64_t bytes) const {
  const uint64_t done = move_all(bytes, [&](uint64_t done, uint64_t most) {
    return pread(descriptor_, static_cast<char*>(to) + done, most, off_t(at + done));
  });
  if (done < bytes && errno != 0) fail_with_errno("cannot read", nullptr);
  return done;
}

void File::write(const void* data, uint64_t bytes, const char* advice) const {
  const uint64_t done = move_all(bytes, [&](uint64_t done, uint64_t most) {
    return ::write(descriptor_, static_cast<const char*>(data) + done, most);
  });
  if (done < bytes) fail_with_errno("cannot write", advice);
}

void File::write_at(uint64_t at, const void* data, uint64_t bytes, const char* advice) const {
  const uint64_t done = move_all(bytes, [&](uint64_t done, uint64_t most) {
    return pwrite(descriptor_, static_cast<const char*>(data) + done, most, off_t(at + done));
  });
  if (done < bytes) fail_with_errno("cannot write", advice);
}

void File::truncate(uint64_t bytes, const char* advice) const {
  if (ftruncate(descriptor_, off_t(bytes)) != 0) fail_with_errno("cannot be cut", advice);
}

void File::sync(const char* advice) const {
  // EINVAL: this file system has nothing to flush for such a file (folders on some network disks).
  if (fsync(descriptor_) != 0 && errno != EINVAL) fail_with_errno("cannot flush to disk", advice);
}

void File::begin_sync(uint64_t at, uint64_t bytes) const {
  sync_file_range(descriptor_, off_t(at), off_t(bytes), SYNC_FILE_RANGE_WRITE);
}

void File::fail_with_errno(const char* what, const char* advice) const {
  const int code = errno ? errno : EIO;
  std::string reason = advice ? std::strerror(code) : reason_of(code);
  if (advice && *advice) reason += cat("; ", advice);
  throw FileError(cat(name_.string(), ": ", what, ": ", reason), cat(__FILE__, ":", __LINE__), code);
}

void File::swap(File& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  name_.swap(other.name_);
}

bool exchange_names(const std::filesystem::path& a, const std::filesystem::path& b) {
  return renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
}

}  // namespace ito
