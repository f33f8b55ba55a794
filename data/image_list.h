#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/picture_source.h"
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
  /// CelebA's lists (data/celeba_lists.h), where there are any.
  ListFile attribute_list, identity_list, landmark_list;
  std::vector<ListFile> lists;     // the files that decide about names and attributes
  std::vector<std::string> notes;  // what the user should know, a sentence each
};

/// A split that is known but holds no pictures.
class EmptySplit : public Error {
 public:
  using Error::Error;
};

/// The pictures of one split at `path`: CelebA in any of its forms (data/celeba.h), or any other folder or
/// zip archive of pictures, whose only split is "all". An empty `split` is "train" of CelebA, else "all".
/// Error: nothing there, no pictures, no such split (EmptySplit: none of CelebA's pictures is in it); see
/// find_celeba, list_celeba and list_folder.
ImageList list_pictures(const std::filesystem::path& path, const std::string& split);

}  // namespace ito::data
