#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace ito::data {

/// What tells whether a picture has changed, without reading it.
struct PictureStamp {
  uint64_t bytes = 0;
  uint64_t seconds = 0, nanoseconds = 0;  // of its last change
};

/// Where pictures' bytes lie. Pictures are named as in ImageList::names; any number of threads may read.
class PictureSource {
 public:
  virtual ~PictureSource() = default;
  /// What errors call the picture: its path.
  virtual std::string place(const std::string& name) const = 0;
  /// All its bytes. Error, with its place first, if it cannot be read or is larger than a gigabyte.
  virtual std::vector<uint8_t> read(const std::string& name) const = 0;
  /// All zero for a picture that is not there.
  virtual PictureStamp stamp(const std::string& name) const = 0;
};

/// Files below `root`.
std::shared_ptr<const PictureSource> folder_source(const std::filesystem::path& root);

}  // namespace ito::data
