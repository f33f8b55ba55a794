#pragma once

#include <filesystem>

#include "kernels/base/file.h"

namespace ito::io {

/// What to do about the leftovers of killed writers before writing.
enum class Leftovers { clean, keep };

/// A locked temporary sibling of `target`, named ".<target>.<process number>.<n>.tmp": what the atomic
/// writers fill before they rename it into place. The lock (flock) ends with its process, so a leftover is
/// recognised for certain, even if its process number is in use again or belongs to another process (containers
/// on one disk).
class Temporary {
 public:
  enum class Kind { file, folder };

  /// Creates it, after `clean_leftovers(target)`, which reads all of the folder's names, unless they are to be
  /// kept. Error: the folder around it is missing or not writable.
  Temporary(const std::filesystem::path& target, Kind kind, Leftovers leftovers = Leftovers::clean);
  /// Removes whatever has the temporary name, unless released, and unlocks. Never throws.
  ~Temporary();
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Its errors name the target.
  const File& file() const { return file_; }
  /// Gives up the temporary name, after a rename.
  void release() { path_.clear(); }

 private:
  bool create(Kind kind, const std::filesystem::path& target);

  std::filesystem::path path_;
  File file_;
};

/// Removes the temporaries of `target` whose writers are dead. A folder that a dying writer had moved away
/// (name ending in ".old.tmp") returns to its place if nothing is there.
void clean_leftovers(const std::filesystem::path& target);
/// Removes the temporaries of dead writers of every target in a folder.
void clean_all_leftovers(const std::filesystem::path& folder);

/// Makes a file's content, or a folder's list of names, durable (fsync).
void sync_path(const std::filesystem::path& path);

/// The folder that holds `path`: "." for a bare name.
std::filesystem::path folder_of(const std::filesystem::path& path);

}  // namespace ito::io
