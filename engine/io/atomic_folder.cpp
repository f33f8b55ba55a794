#include "engine/io/atomic_folder.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include "kernels/base/error.h"
#include "kernels/base/file.h"

namespace ito::io {
namespace fs = std::filesystem;
namespace {

/// "runs/a/" and "runs/a" name the same folder; only the second has a filename.
fs::path without_trailing_slash(const fs::path& path) {
  return path.filename().empty() ? path.parent_path() : path;
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory())
      sync_tree(entry.path());
    else
      sync_path(entry.path());
  }
  sync_path(folder);
}

/// Puts `fresh` at `target`, in place of the folder that is there; returns where that was moved, to be removed.
fs::path replace(const fs::path& fresh, const fs::path& target) {
  if (exchange_names(fresh, target)) return fresh;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
    fail(cat(target.string(), ": cannot be replaced: ", std::strerror(errno)));
  }
  fs::path aside = fs::path(fresh).replace_extension(".old.tmp");
  const File lock = File::try_open(target, File::Mode::read);
  if (lock.is_open()) lock.try_lock();  // so that it is not taken for a dead writer's leftover
  std::error_code error;
  fs::rename(target, aside, error);
  if (!error) {
    fs::rename(fresh, target, error);
    std::error_code ignored;
    if (error) fs::rename(aside, target, ignored);
  }
  if (error) fail(cat(target.string(), ": cannot be replaced: ", error.message()));
  return aside;
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& target)
    : target_(without_trailing_slash(target)), temporary_(target_, Temporary::Kind::folder) {
  if (fs::exists(target_) && !fs::is_directory(target_)) {
    fail(cat(target_.string(), ": is a file; a folder is to be written there"));
  }
}

void AtomicFolder::commit() {
  sync_tree(temporary_.path());
  std::error_code error;
  if (fs::exists(target_, error)) {
    const fs::path old = replace(temporary_.path(), target_);
    sync_path(folder_of(target_));
    fs::remove_all(old, error);
  } else {
    fs::rename(temporary_.path(), target_, error);
    if (error)
      fail(cat(target_.string(), ": cannot put the finished folder in place: ", reason_of(error.value())));
    sync_path(folder_of(target_));
  }
  temporary_.release();
}

}  // namespace ito::io
