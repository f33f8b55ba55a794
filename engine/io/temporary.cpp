#include "engine/io/temporary.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kernels/base/error.h"

namespace ito::io {
namespace fs = std::filesystem;
namespace {

/// A dot and digits.
bool is_number(std::string_view extension) {
  return extension.size() > 1 && extension.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

/// The target of a leftover: its name is ".<target>.<number>.<number>.tmp", or with ".old" before ".tmp".
/// Nothing for any other name.
fs::path target_of(const fs::path& leftover) {
  fs::path name = leftover.filename();
  if (name.native()[0] != '.' || name.extension() != ".tmp") return {};
  name = name.stem();
  if (name.extension() == ".old") name = name.stem();
  for (int i = 0; i < 2; ++i, name = name.stem())
    if (!is_number(name.extension().native())) return {};
  const std::string target = name.native().substr(1);
  return target.empty() ? fs::path() : leftover.parent_path() / target;
}

/// Removes or restores one leftover, if its writer is dead.
void clean_one(const fs::path& leftover, const fs::path& target) {
  const File file = File::try_open(leftover, File::Mode::read);
  if (!file.is_open() || file.try_lock() != File::Lock::ours || !file.is_at(leftover)) return;
  const bool moved_aside = leftover.stem().extension() == ".old";
  std::error_code ignored;  // a leftover that cannot be removed does no harm
  if (moved_aside && !fs::exists(target, ignored))
    fs::rename(leftover, target, ignored);
  else
    fs::remove_all(leftover, ignored);
}

/// Cleans the folder's leftovers of the target of this name, or all of them if it is empty.
void clean_folder(const fs::path& folder, const fs::path& name) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path target = target_of(it->path());
    if (!target.empty() && (name.empty() || target.filename() == name)) leftovers.push_back(it->path());
  }
  for (const fs::path& leftover : leftovers) clean_one(leftover, target_of(leftover));
}

}  // namespace

fs::path folder_of(const fs::path& path) {
  return path.parent_path().empty() ? fs::path(".") : path.parent_path();
}

Temporary::Temporary(const fs::path& target, Kind kind, Leftovers leftovers) {
  if (leftovers == Leftovers::clean) clean_leftovers(target);
  const std::string stem = cat(".", target.filename().string(), ".", getpid(), ".");
  for (int n = 0; !file_.is_open(); ++n) {
    path_ = folder_of(target) / cat(stem, n, ".tmp");
    if (!create(kind, target) && errno != EEXIST) {
      fail(cat(target.string(), ": cannot create ", path_.string(), ": ", reason_of(errno)));
    }
  }
}

/// False, with errno set, if the name is taken or cannot be created.
bool Temporary::create(Kind kind, const fs::path& target) {
  if (kind == Kind::folder) {
    if (mkdir(path_.c_str(), 0777) != 0) return false;
    file_ = File::try_open(path_, File::Mode::folder, target);
    if (!file_.is_open() && errno != ENOENT) {
      const int reason = errno;
      rmdir(path_.c_str());
      errno = reason;
      return false;
    }
  } else {
    file_ = File::try_open(path_, File::Mode::fresh, target);
    if (!file_.is_open()) return false;
  }
  if (file_.is_open()) {
    file_.lock();  // if the file system has no locks, leftovers are never taken for dead
    if (file_.is_at(path_)) return true;
    file_ = File();
  }
  errno = EEXIST;  // another process removed it before it was locked: take the next name
  return false;
}

Temporary::~Temporary() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

void clean_leftovers(const fs::path& target) { clean_folder(folder_of(target), target.filename()); }
void clean_all_leftovers(const fs::path& folder) { clean_folder(folder, {}); }

void sync_path(const fs::path& path) { File(path, File::Mode::read).sync(); }

}  // namespace ito::io
