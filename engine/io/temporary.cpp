#include "engine/io/temporary.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kernels/base/error.h"

namespace ito::io {
namespace fs = std::filesystem;
namespace {

/// The file that is open here is still the one under this name.
bool is_at(int descriptor, const fs::path& path) {
  struct stat open_one {
  }, named_one{};
  return fstat(descriptor, &open_one) == 0 && lstat(path.c_str(), &named_one) == 0 &&
         open_one.st_dev == named_one.st_dev && open_one.st_ino == named_one.st_ino;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// ".<target>.<number>.<number>.tmp", or with ".old" before ".tmp".
bool is_leftover_name(std::string_view name, const std::string& target) {
  const std::string prefix = cat('.', target, '.');
  if (name.substr(0, prefix.size()) != prefix || fs::path(name).extension() != ".tmp") return false;
  fs::path middle = fs::path(name.substr(prefix.size())).stem();
  if (middle.extension() == ".old") middle = middle.stem();
  const std::string number = middle.extension().string();
  return is_number(middle.stem().string()) && number.size() > 1 && is_number(number.substr(1));
}

/// Removes or restores one leftover, if its writer is dead.
void clean_one(const fs::path& leftover, const fs::path& target) {
  const int descriptor = open(leftover.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_at(descriptor, leftover)) {
    const bool moved_aside = leftover.stem().extension() == ".old";
    std::error_code ignored;  // a leftover that cannot be removed harms nobody
    if (moved_aside && !fs::exists(target, ignored))
      fs::rename(leftover, target, ignored);
    else
      fs::remove_all(leftover, ignored);
  }
  close(descriptor);
}

}  // namespace

std::string reason_of(int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return cat(std::strerror(error), full ? "; make room there" : "");
}

fs::path folder_of(const fs::path& path) {
  return path.parent_path().empty() ? fs::path(".") : path.parent_path();
}

Temporary::Temporary(const fs::path& target, Kind kind) {
  clean_leftovers(target);
  const std::string stem = cat(".", target.filename().string(), ".", getpid(), ".");
  for (int n = 0; descriptor_ < 0; ++n) {
    path_ = folder_of(target) / cat(stem, n, ".tmp");
    if (!create(kind) && errno != EEXIST) {
      fail(cat(target.string(), ": cannot create ", path_.string(), ": ", reason_of(errno)));
    }
  }
}

/// False, with errno set, where the name is taken or cannot be made.
bool Temporary::create(Kind kind) {
  if (kind == Kind::folder) {
    if (mkdir(path_.c_str(), 0777) != 0) return false;
    descriptor_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0 && errno != ENOENT) {
      const int reason = errno;
      rmdir(path_.c_str());
      errno = reason;
      return false;
    }
  } else {
    descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) return false;
  }
  if (descriptor_ >= 0) {
    flock(descriptor_, LOCK_EX);  // where a file system knows no locks, leftovers are never taken for dead
    if (is_at(descriptor_, path_)) return true;
    close(descriptor_);
    descriptor_ = -1;
  }
  errno = EEXIST;  // another process cleaned it away between its making and its locking: take the next name
  return false;
}

Temporary::~Temporary() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  if (descriptor_ >= 0) close(descriptor_);
}

void clean_leftovers(const fs::path& target) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator it(folder_of(target), error), end; !error && it != end; it.increment(error)) {
    if (is_leftover_name(it->path().filename().string(), target.filename().string()))
      leftovers.push_back(it->path());
  }
  for (const fs::path& leftover : leftovers) clean_one(leftover, target);
}

void sync_path(const fs::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(cat(path.string(), ": cannot open: ", std::strerror(errno)));
  const int result = fsync(descriptor);
  const int reason = errno;
  close(descriptor);
  // EINVAL: this file system has nothing to flush for such a file (folders on some network disks).
  if (result != 0 && reason != EINVAL)
    fail(cat(path.string(), ": cannot flush to disk: ", reason_of(reason)));
}

}  // namespace ito::io
