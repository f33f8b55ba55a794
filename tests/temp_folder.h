#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

/// Where flushing a file to disk takes no time, for tests that do it often; the working directory elsewhere.
inline std::filesystem::path memory_folder() {
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::current_path();
}

/// A fresh folder, by default under the working directory (ctest's is in the build folder), removed with all
/// it holds.
class TempFolder {
 public:
  explicit TempFolder(const std::filesystem::path& place = std::filesystem::current_path()) {
    std::string name = (place / "scratch.XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};
