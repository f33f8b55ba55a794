#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/pictures/picture_source.h"
#include "kernels/base/error.h"

namespace ito::data {

/// Which pictures make up a data set, before any is opened.
struct ImageList {
  std::string kind;                             // "folder" or "celeba"
  std::string split;                            // "train", "valid", "test" or "all"
  std::string title;                            // the folder's or the archive's own name
  std::filesystem::path root;                   // what the names are relative to: a folder or an archive
  std::shared_ptr<const PictureSource> source;  // of their bytes
  std::vector<std::string> names;               // sorted
  /// CelebA's lists (data/celeba_files/lists.h), if any.
  ListFile attribute_list, identity_list, landmark_list;
  std::vector<ListFile> lists;     // the files that decide about names and attributes
  std::vector<std::string> notes;  // what the user should know, a sentence each
};

/// A split that is known but holds no pictures.
class EmptySplit : public Error {
 public:
  using Error::Error;
};

}  // namespace ito::data
