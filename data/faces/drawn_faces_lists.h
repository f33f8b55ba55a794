#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// The lists of a set of drawn faces, in CelebA's formats. Private to the drawing.
namespace ito::data {

/// One list: a row for every picture.
struct FaceList {
  std::string stem;  // of the file's name
  bool headed;       // the text form starts with the count and the columns' names
  int width;         // of a value in the text form
  std::vector<std::string> columns;
  std::function<std::vector<int>(uint64_t index)> values;
};

FaceList attribute_list(uint64_t seed);
FaceList split_list(uint64_t count);
FaceList identity_list();
FaceList landmark_list(uint64_t seed);

std::string text_of(const FaceList& list, uint64_t count);
std::string csv_of(const FaceList& list, uint64_t count);

/// "000001.jpg" for index 0.
std::string face_name(uint64_t index);

}  // namespace ito::data
