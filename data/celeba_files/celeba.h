#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/celeba_files/lists.h"
#include "data/pictures/found_files.h"
#include "data/pictures/image_list.h"

/// CelebA (Liu et al., "Deep learning face attributes in the wild", ICCV 2015) as people have it. Under DIR,
/// DIR/celeba or DIR/CelebA (torchvision's), and under Img/ in each:
///   img_align_celeba/, or that name twice (Kaggle's), or img_align_celeba_png/, or img_align_celeba.zip
/// with the lists, .txt or .csv, next to it, above it or in Anno/ and Eval/ there: list_eval_partition,
/// list_attr_celeba, identity_CelebA, list_landmarks_align_celeba. DIR may also be one of these picture
/// folders, or an archive, which may hold its lists itself (Kaggle's).
namespace ito::data {

/// Where CelebA's parts were found. Lists that were not found are empty.
struct Celeba {
  std::filesystem::path root;  // of the pictures: a folder, or an archive
  std::string title;
  std::shared_ptr<const PictureSource> source;
  std::vector<std::string> names;  // of all pictures, sorted
  ListFile partition, attributes, identities, landmarks;
  std::vector<std::string> notes;  // on what was left out besides the pictures

  /// The pictures that were found.
  void take(FoundFiles& found);
  bool empty() const { return source == nullptr; }
};

/// CelebA at `path`; empty if there is nothing, or another folder or archive. Unpacked pictures are preferred to an
/// archive of them. Error: a folder or archive with CelebA's name holds no pictures; see ZipReader.
Celeba find_celeba(const std::filesystem::path& path);

/// Error unless it is train, valid, test or all.
void check_split(const std::string& split);
/// train, valid, test, all.
std::vector<std::string> split_names();

/// The pictures of one split, by list_eval_partition or, where that is missing, by CelebA's own numbers
/// (train to 162770, valid to 182637, test from there), with a note. Pictures without a line are left out,
/// and lines without a picture are skipped, each with a note. Error: unknown split, a bad line (with its
/// number), no pictures in the split.
ImageList list_celeba(const Celeba& celeba, const std::string& split);

}  // namespace ito::data
