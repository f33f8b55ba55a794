#pragma once

#include <dirent.h>

#include <filesystem>
#include <functional>
#include <string_view>

namespace ito::data {

/// One entry of a folder. Links are followed, and a broken one is neither a file nor a folder.
class FolderEntry {
 public:
  FolderEntry(int folder, const dirent& entry) : folder_(folder), entry_(entry) {}
  std::string_view name() const { return entry_.d_name; }
  bool is_file() const { return is(DT_REG); }
  bool is_folder() const { return is(DT_DIR); }
  /// A link that leads nowhere, or in circles, or to a place that may not be read.
  bool is_broken() const;

 private:
  bool is(unsigned char kind) const;

  int folder_;
  const dirent& entry_;
};

/// visit(entry) for all that a folder holds but "." and "..", in any order, until it returns false. Error,
/// naming the folder: it cannot be listed.
void visit_folder(const std::filesystem::path& folder, const std::function<bool(const FolderEntry&)>& visit);

}  // namespace ito::data
