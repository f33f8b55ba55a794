#include "data/faces/drawn_faces_lists.h"

#include <cstdio>

#include "data/faces/drawn_faces.h"
#include "kernels/base/error.h"

namespace ito::data {

std::string face_name(uint64_t index) {
  char name[16];
  std::snprintf(name, sizeof name, "%06d.jpg", int(index + 1));
  return name;
}

FaceList attribute_list(uint64_t seed) {
  return {"list_attr_celeba",
          true,
          3,
          {kFaceAttributeNames.begin(), kFaceAttributeNames.end()},
          [seed](uint64_t i) {
            const auto attributes = face_attributes(face_traits(seed, i));
            return std::vector<int>(attributes.begin(), attributes.end());
          }};
}

FaceList split_list(uint64_t count) {
  return {"list_eval_partition", false, 2, {"partition"}, [count](uint64_t i) {
            return std::vector<int>{face_split(i, count)};
          }};
}

FaceList identity_list() {
  return {"identity_CelebA", false, 2, {"identity"}, [](uint64_t i) { return std::vector<int>{int(i + 1)}; }};
}

FaceList landmark_list(uint64_t seed) {
  return {"list_landmarks_align_celeba",
          true,
          4,
          {"lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y", "leftmouth_x",
           "leftmouth_y", "rightmouth_x", "rightmouth_y"},
          [seed](uint64_t i) {
            const auto landmarks = face_landmarks(face_traits(seed, i));
            return std::vector<int>(landmarks.begin(), landmarks.end());
          }};
}

std::string text_of(const FaceList& list, uint64_t count) {
  std::string text;
  if (list.headed) {
    text += cat(count, "\n");
    for (const std::string& name : list.columns) text += name + " ";
    text += "\n";
  }
  for (uint64_t i = 0; i < count; ++i) {
    text += face_name(i);
    for (const int value : list.values(i)) {
      const std::string digits = std::to_string(value);
      text += std::string(size_t(std::max(1, list.width - int(digits.size()))), ' ') + digits;
    }
    text += "\n";
  }
  return text;
}

std::string csv_of(const FaceList& list, uint64_t count) {
  std::string text = "image_id";
  for (const std::string& name : list.columns) text += "," + name;
  text += "\n";
  for (uint64_t i = 0; i < count; ++i) {
    text += face_name(i);
    for (const int value : list.values(i)) text += "," + std::to_string(value);
    text += "\n";
  }
  return text;
}

}  // namespace ito::data
