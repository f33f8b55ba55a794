#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/pictures/picture_source.h"

/// Where the pictures of a set of drawn faces are kept. Private to the drawing.
namespace ito::data {

class FaceStore {
 public:
  using Draw = std::function<std::vector<uint8_t>(uint64_t index)>;  // a picture's file, from any thread

  /// A folder at `path`; or an archive, if `folder_in_archive` is given: its folder of pictures, ending with '/'.
  explicit FaceStore(const std::filesystem::path& path, const std::string& folder_in_archive = "");

  /// The names of what it holds.
  std::vector<std::string> names() const;
  std::vector<uint8_t> read(const std::string& name) const { return source_->read(name); }
  /// Draws and adds the pictures that are not present yet, on so many threads. An archive is written again, as a whole,
  /// for every addition.
  void complete(const std::vector<char>& present, int threads, const Draw& draw) const;

 private:
  void complete_folder(const std::vector<char>& present, int threads, const Draw& draw) const;
  void complete_archive(const std::vector<char>& present, int threads, const Draw& draw) const;

  std::filesystem::path path_;
  std::string folder_in_archive_;
  std::shared_ptr<const io::ZipReader> archive_;  // null for a folder, and if there is no archive yet
  std::shared_ptr<const PictureSource> source_;   // of what is there
};

/// Makes a folder and those above it, if they are missing. Error: it cannot be made.
void make_folder(const std::filesystem::path& path);

inline constexpr char kUnfinished[] = ".tmp";  ///< the ending of files that are being written

}  // namespace ito::data
