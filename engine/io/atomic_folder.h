#pragma once

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "engine/io/temporary.h"

namespace ito::io {

/// A folder that appears under its name complete or not at all. Fill `path()`, then `commit()`: everything in
/// it is made durable and it is renamed into place; an older folder of that name is replaced in one step
/// if the file system can exchange names, else moved away for a moment (`clean_leftovers` restores it after a crash in
/// between). Without `commit`, nothing is left. Error: cannot create, flush or rename; always
/// with the folder's name.
class AtomicFolder {
 public:
  explicit AtomicFolder(const std::filesystem::path& target);
  const std::filesystem::path& path() const { return temporary_.path(); }
  void commit();

 private:
  std::filesystem::path target_;
  Temporary temporary_;
};

}  // namespace ito::io
