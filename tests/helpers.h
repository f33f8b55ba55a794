#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

/// What tests of every folder share: errors as text, folders of their own, what a folder holds.
namespace ito::tests {

/// The sentence with which f() fails; empty where it does not.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// The advice of that error, one phrase after the other; empty if there is none.
template <class F>
std::string advice_of(F&& f) {
  std::string text;
  try {
    f();
  } catch (const Error& e) {
    for (const std::string& phrase : e.advice()) text += (text.empty() ? "" : " or ") + phrase;
  }
  return text;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

inline void put(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

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
    if (mkdtemp(name.data()) == nullptr) fail(cat("a test cannot make a folder in ", place.string()));
    path_ = name;
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

/// All files' bytes and all links' targets below a folder, by path; folders end in "/".
inline std::map<std::string, std::string> contents_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::filesystem::path inside = std::filesystem::relative(entry.path().parent_path(), folder);
    const std::string name = (inside / entry.path().filename()).lexically_normal().string();
    if (entry.is_symlink())
      contents[name] = "-> " + std::filesystem::read_symlink(entry.path()).string();
    else if (entry.is_regular_file())
      contents[name] = io::read_file(entry.path());
    else
      contents[name + "/"];
  }
  return contents;
}

}  // namespace ito::tests
