#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/picture_source.h"

namespace ito::data {

/// Which pictures make up a data set, before any is opened.
struct ImageList {
  std::string kind;                             // "folder" or "celeba"
  std::string split;                            // "train", "valid", "test" or "all"
  std::string title;                            // the folder's own name
  std::filesystem::path root;                   // what the names are relative to
  std::shared_ptr<const PictureSource> source;  // of their bytes
  std::vector<std::string> names;               // sorted
  std::filesystem::path attribute_list;         // CelebA's list_attr_celeba.txt, or empty
  std::vector<std::filesystem::path> lists;     // the text files that decide about names and attributes
  std::vector<std::string> notes;               // what the user should know, a sentence each
};

}  // namespace ito::data
