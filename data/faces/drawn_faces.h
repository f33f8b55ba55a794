#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "data/faces/traits.h"
#include "data/pictures/image.h"
#include "kernels/base/names.h"

/// A data set of drawn people in CelebA's format: the same size, alignment, files and attribute names,
/// without its licence. They replace photographs where there are none.
namespace ito::data {

inline constexpr int kFaceWidth = 178, kFaceHeight = 218;
inline constexpr int kFaceAttributes = 40;
inline constexpr int kFaceLandmarks = 10;

/// CelebA's attribute names, in the order of list_attr_celeba.txt.
extern const std::array<const char*, kFaceAttributes> kFaceAttributeNames;

/// The person on 178x218 pixels, eyes at about (69, 111) and (108, 111), mouth at about y = 152.
Image draw_face(const FaceTraits& traits);

/// 1 if the drawing shows the attribute, else -1. Attractive and Blurry are always -1: the former is a judgement, the
/// latter never happens. The attributes of hair are about what a hat does not cover.
std::array<int8_t, kFaceAttributes> face_attributes(const FaceTraits& traits);

/// CelebA's landmarks in the drawing: the pixels, x and y, of the left eye, the right eye, the
/// nose's tip and the mouth's left and right corner; left is the picture's left.
std::array<int, kFaceLandmarks> face_landmarks(const FaceTraits& traits);

/// The split of picture `index` of `count`, 0 train, 1 validation, 2 test: contiguous, in CelebA's
/// proportions (162,770 : 19,867 : 19,962).
int face_split(uint64_t index, uint64_t count);

/// How a set is laid out in its folder: as CelebA's authors publish it, flat or in Anno/, Eval/ and Img/, below celeba/
/// as torchvision wants it, nested twice with csv files as on Kaggle, or with the pictures in an archive.
enum class FaceLayout { official, folders, torchvision, kaggle, zip };

inline constexpr uint64_t kMostFaces = 999'999;  // file names have six digits

struct FaceSetOptions {
  uint64_t count = 0;  ///< 1 to kMostFaces
  uint64_t seed = 0;
  FaceLayout layout = FaceLayout::official;
  int threads = 0;  ///< 0: one for each core
  /// Called now and then, from one thread at a time, with the pictures done and the total.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

/// How many pictures a call drew, and how many were there already.
struct FaceSetResult {
  uint64_t drawn = 0, kept = 0;
};

/// Writes pictures 000001.jpg ... and the lists of attributes, splits, identities (every face is a person of
/// its own; not in layout kaggle) and landmarks; the bytes are a function of (count, seed, layout), and
/// picture i of (seed, i). A set of the same seed and layout that is there already is extended, unless it is complete.
/// Error, with nothing written: a bad count, or a folder with anything else in it.
FaceSetResult write_face_set(const std::filesystem::path& folder, const FaceSetOptions& options);

}  // namespace ito::data

template <>
struct ito::Names<ito::data::FaceLayout> {
  using FaceLayout = data::FaceLayout;
  static constexpr std::string_view kKind = "layout";
  static constexpr Named<FaceLayout> kTable[] = {{"official", FaceLayout::official},
                                                 {"folders", FaceLayout::folders},
                                                 {"torchvision", FaceLayout::torchvision},
                                                 {"kaggle", FaceLayout::kaggle},
                                                 {"zip", FaceLayout::zip}};
};
