#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/pictures/picture_source.h"

/// CelebA's lists, as text or csv (data/celeba_files/list_table.h). Rows are for `pictures`, in that order, which are
/// matched by name without its ending. Error: a bad list, with its place and line.
namespace ito::data {

/// list_attr_celeba. Attributes are -1 or 1, or 0 if unknown: the list has 0, or no line for the picture.
struct Attributes {
  std::vector<std::string> names;
  std::vector<int8_t> values;  // [pictures, names]
};
Attributes parse_attributes(std::string_view text, const std::string& place,
                            const std::vector<std::string>& pictures);
Attributes read_attributes(const ListFile& list, const std::vector<std::string>& pictures);

/// list_eval_partition: 0 train, 1 valid, 2 test, -1 if the list has no line for the picture.
struct Partition {
  std::vector<int32_t> splits;  // [pictures]
  size_t unused = 0;            // lines whose picture is not among them
};
Partition parse_partition(std::string_view text, const std::string& place,
                          const std::vector<std::string>& pictures);
Partition read_partition(const ListFile& list, const std::vector<std::string>& pictures);

/// identity_CelebA: the number of the person, from 1 on; 0 if the list has no line for the picture.
std::vector<int32_t> parse_identities(std::string_view text, const std::string& place,
                                      const std::vector<std::string>& pictures);
std::vector<int32_t> read_identities(const ListFile& list, const std::vector<std::string>& pictures);

/// list_landmarks_align_celeba: pixels of the aligned picture, lefteye_x lefteye_y, righteye, nose,
/// leftmouth, rightmouth; all zero if the list has no line for the picture. Left is the picture's left.
inline constexpr size_t kLandmarks = 10;
std::vector<int32_t> parse_landmarks(std::string_view text, const std::string& place,
                                     const std::vector<std::string>& pictures);  // [pictures, kLandmarks]
std::vector<int32_t> read_landmarks(const ListFile& list, const std::vector<std::string>& pictures);

}  // namespace ito::data
