#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/image_list.h"

/// CelebA's official layout (Liu et al., "Deep learning face attributes in the wild", ICCV 2015), flat or in
/// its folders:  DIR/{img_align_celeba/*.jpg, list_attr_celeba.txt, list_eval_partition.txt}
///           DIR/{Img/img_align_celeba/*.jpg, Anno/list_attr_celeba.txt, Eval/list_eval_partition.txt}
namespace ito::data {

/// DIR of one of these layouts, for DIR itself or DIR/img_align_celeba; empty for any other folder.
std::filesystem::path find_celeba(const std::filesystem::path& path);

/// Error unless it is train, valid, test or all.
void check_split(const std::string& split);

/// The pictures of one split, by list_eval_partition.txt or, where that is missing, by CelebA's own numbers
/// (train to 162770, valid to 182637, test from there), with a note. Pictures without a line are left out,
/// with a note. Error: unknown split, a bad line (with its number), no pictures.
ImageList list_celeba(const std::filesystem::path& root, const std::string& split);

/// Attributes are -1 or 1, or 0 where the list has no line for a picture.
struct Attributes {
  std::vector<std::string> names;
  std::vector<int8_t> values;  // [pictures, names]
};

/// Reads list_attr_celeba.txt: a count (not trusted, may be missing), the attributes' names, then a picture's
/// name and its -1 or 1 each, between any blanks. Rows are for `pictures`, in that order. Error: a bad line,
/// with its number.
Attributes read_attributes(const std::filesystem::path& list, const std::vector<std::string>& pictures);

}  // namespace ito::data
