#include "data/pictures/folder_entries.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "kernels/base/error.h"

namespace ito::data {

/// Most file systems list the kind of each name; links have to be followed.
bool FolderEntry::is(unsigned char kind) const {
  if (entry_.d_type != DT_UNKNOWN && entry_.d_type != DT_LNK) return entry_.d_type == kind;
  struct stat status {};
  return fstatat(folder_, entry_.d_name, &status, 0) == 0 && IFTODT(status.st_mode) == kind;
}

bool FolderEntry::is_broken() const {
  struct stat status {};
  return fstatat(folder_, entry_.d_name, &status, 0) != 0;
}

void visit_folder(const std::filesystem::path& folder, const std::function<bool(const FolderEntry&)>& visit) {
  const auto fail_here = [&] { fail(cat(folder.string(), ": cannot be listed: ", std::strerror(errno))); };
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(folder.c_str()), closedir);
  if (!stream) fail_here();
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (!entry && errno != 0) fail_here();
    if (!entry) return;
    const std::string_view name = entry->d_name;
    if (name != "." && name != ".." && !visit(FolderEntry(dirfd(stream.get()), *entry))) return;
  }
}

}  // namespace ito::data
