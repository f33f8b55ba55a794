#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/pictures/image_list.h"

namespace ito::data {

/// Pictures by the folders that they lie in, each of which is a class (as torchvision's ImageFolder has it): cat/1.png
/// and cat/more/2.png are of the class cat.
struct FolderClasses {
  std::vector<std::string> names;  // sorted by their bytes
  std::vector<int32_t> of;         // [pictures], each a place in `names`
};

/// The classes of pictures, named as in ImageList::names. In an archive, folders that all pictures share are left away
/// first: an archive of a folder has that folder's classes. `place` is what errors name. Error: a picture in no folder;
/// fewer than two classes.
FolderClasses classes_of(const std::vector<std::string>& pictures, bool is_archive, const std::string& place);

/// The folders directly in a list's root, a folder, that are none of its classes, since they hold no pictures: sorted,
/// without hidden ones. None of an archive's.
std::vector<std::string> folders_without_pictures(const ImageList& list, const FolderClasses& classes);

}  // namespace ito::data
