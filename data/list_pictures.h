#pragma once

#include <filesystem>
#include <string>

#include "data/pictures/image_list.h"

namespace ito::data {

/// The pictures of one split at `path`: CelebA in any of its forms (data/celeba_files/celeba.h), or any other folder or
/// zip archive of pictures, whose only split is "all". An empty `split` is "train" of CelebA, else "all".
/// Error: nothing is there, no pictures, no such split (EmptySplit: none of CelebA's pictures is in it); see
/// find_celeba, list_celeba and list_folder.
ImageList list_pictures(const std::filesystem::path& path, const std::string& split);

}  // namespace ito::data
