#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

/// Where flushing a file to disk takes no time, for tests that do it often; the working directory elsewhere.
inline std::filesystem::path memory_folder() {
  std::error_code ignored;
  return std::filesystem::is_directory("/dev/shm", ignored) ? "/dev/shm" : std::filesystem::current_path();
}

/// A fresh folder under the working directory (ctest's is in the build folder), removed with all it holds.
class TempFolder {
 public:
  explicit TempFolder(const std::filesystem::path& parent = std::filesystem::current_path()) {
    std::string name = (parent / "scratch.XXXXXX").string();
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
