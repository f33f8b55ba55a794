#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/io/zip.h"

namespace ito::data {

/// Shows whether a file has changed, without reading it.
struct PictureStamp {
  uint64_t bytes = 0;
  uint64_t seconds = 0, nanoseconds = 0;  // of its last change; for a file in an archive, the archive's
  uint64_t checksum = 0;                  // as the archive stores it; 0 for a file outside archives
};

/// Where pictures' bytes are stored. Pictures are named as in ImageList::names; any number of threads may read.
class PictureSource {
 public:
  virtual ~PictureSource() = default;
  /// The path of the picture, by which errors name it.
  virtual std::string place(const std::string& name) const = 0;
  /// All its bytes. Error, with its place first, if it cannot be read or is larger than a gigabyte.
  virtual std::vector<uint8_t> read(const std::string& name) const = 0;
  /// All zero for a picture that is not there.
  virtual PictureStamp stamp(const std::string& name) const = 0;
};

/// Files below `root`.
std::shared_ptr<const PictureSource> folder_source(const std::filesystem::path& root);

/// Entries of an archive whose names start with `folder`, which is "" or ends with '/'.
std::shared_ptr<const PictureSource> zip_source(std::shared_ptr<const io::ZipReader> zip, std::string folder);

/// A text file that goes with pictures, in a folder or an archive; no file if `source` is null.
struct ListFile {
  std::shared_ptr<const PictureSource> source;
  std::string name;

  bool empty() const { return source == nullptr; }
  std::string place() const { return source->place(name); }
  PictureStamp stamp() const { return source->stamp(name); }
};

}  // namespace ito::data
