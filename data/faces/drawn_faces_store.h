#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Where the pictures of a set of drawn faces are kept. Private to the drawing.
namespace ito::data {

class FaceStore {
 public:
  using Draw = std::function<std::vector<uint8_t>(uint64_t index)>;  // a picture's file, from any thread

  virtual ~FaceStore() = default;
  /// The names of what it holds.
  virtual std::vector<std::string> names() const = 0;
  virtual std::vector<uint8_t> read(const std::string& name) const = 0;
  /// Puts in place the pictures that do not stand yet, on so many threads.
  virtual void complete(const std::vector<char>& stands, int threads, const Draw& draw) = 0;
};

/// A folder, which is made where it is missing.
std::unique_ptr<FaceStore> face_folder(const std::filesystem::path& path);

/// An archive, in which the pictures lie in `folder`, which ends with '/'. It is written anew for every
/// addition, as all or nothing.
std::unique_ptr<FaceStore> face_archive(const std::filesystem::path& path, const std::string& folder);

/// With those above it, where they are missing. Error: it cannot be made.
void make_folder(const std::filesystem::path& path);

inline constexpr char kUnfinished[] = ".tmp";  ///< how the names of files that are being written end

}  // namespace ito::data
