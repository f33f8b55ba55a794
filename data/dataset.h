#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/cache/decode_all.h"
#include "data/pictures/folder_classes.h"
#include "kernels/base/options.h"

namespace ito::data {

struct DatasetOptions {
  std::string
      split;  // train, valid, test or all; "" is train for CelebA, all for a folder (which has no other)
  std::string crop;  // a name of crop.h; "" is ddim128 for CelebA, none for a folder
  Orientation orientation = Orientation::upright;
  int height = 64;  // pixels, as the network sees them
  int width = 64;
  int size_step = 1;  // sizes that errors advise are multiples of it
  std::filesystem::path cache_dir = ".cache";
  int threads = 0;                      // for decoding and checking; 0: every core
  bool check_all = false;               // read every pixel of a cache, even of one that was checked before
  std::vector<std::string> attributes;  // that a list of attributes must have: found out before any decoding
  bool classes =
      false;  // the folders that pictures lie in are their classes (data/pictures/folder_classes.h)
  /// Called on the caller's thread if pictures must be decoded: `starting` once before, with a forecast; then
  /// `progress`, first with (done, total), where done > 0 if an interrupted process had begun. What progress throws
  /// ends the decoding; the next opening goes on from there.
  std::function<void(const DecodeForecast&)> starting;
  std::function<void(size_t done, size_t total)> progress;
  std::function<void(const std::string&)>
      warn;                       // with what the user should know before the decoding, a sentence
  std::function<void()> waiting;  // again and again, while another process decodes the same; may throw
};

/// The option of every program that reads pictures.
inline Field orientation_field() {
  return Field("orientation", "pictures turned as their EXIF says, or as they are stored");
}

/// A data set, decoded: all its images of one size in one read-only mapping. Movable, not copyable.
class Dataset {
 public:
  /// u8 [count, height, width, 3]; networks take pixel / 127.5 - 1.
  const uint8_t* pixels() const { return cache_.pixels(); }
  size_t count() const { return cache_.names.size(); }
  int height() const { return cache_.size.height; }
  int width() const { return cache_.size.width; }
  const std::vector<std::string>& names() const { return cache_.names; }  // below root()
  /// [count, attribute_names] of -1 or 1, or 0 if the list has no line for the picture; empty without attributes.
  const std::vector<int8_t>& attributes() const { return cache_.attributes; }
  const std::vector<std::string>& attribute_names() const { return cache_.attribute_names; }
  /// [count], the column of one attribute. Error: no such attribute (says which there are).
  std::vector<float> attribute(const std::string& name) const;
  /// [count, names], the columns of these attributes in this order. Error: no such attribute (says which there are).
  std::vector<int8_t> attribute_columns(const std::vector<std::string>& names) const;
  /// Where classes are asked for: their names, sorted, and [count] places among these; else both are empty.
  const std::vector<std::string>& class_names() const { return classes_.names; }
  const std::vector<int32_t>& classes() const { return classes_.of; }
  /// [count] numbers from 1 on, or 0 if the list has no line for the picture; empty without the list.
  const std::vector<int32_t>& identities() const { return cache_.identities; }
  /// [count, kLandmarks] pixels of the whole picture (data/celeba_files/lists.h), before the crop; or empty.
  const std::vector<int32_t>& landmarks() const { return cache_.landmarks; }
  const std::vector<SkippedFile>& skipped() const { return cache_.skipped; }

  const std::filesystem::path& root() const { return root_; }
  const std::string& kind() const { return kind_; }  // "celeba" or "folder"
  const std::string& split() const { return split_; }
  const std::string& crop() const { return crop_; }
  /// Sentences for the user: what was assumed, what was left out.
  const std::vector<std::string>& notes() const { return notes_; }
  /// 16 hexadecimal digits. fingerprint: the hash of the pictures' place, names, sizes and times, and of the options.
  /// content_hash: the hash of the decoded pixels alone, the same wherever the pictures are.
  const std::string& fingerprint() const { return fingerprint_; }
  std::string content_hash() const;

 private:
  friend Dataset open_dataset(const std::filesystem::path& path, const DatasetOptions& options);
  explicit Dataset(ImageCache cache) : cache_(std::move(cache)) {}

  ImageCache cache_;
  FolderClasses classes_;
  std::filesystem::path root_;
  std::string kind_, split_, crop_, fingerprint_;
  std::vector<std::string> notes_;
};

/// Opens CelebA in its official layout (data/celeba_files/celeba.h) or any folder of pictures
/// (data/pictures/folder.h). The first time, all are decoded, cropped (data/pictures/crop.h) and scaled
/// (data/pictures/resize.h) into a file under `cache_dir`; the folder itself is only read. A second process
/// waits for the first, and continues what a killed one left; a file that is damaged, out of date or of
/// another version is made again. Pictures that are unreadable, or smaller than the wanted size, are skipped and
/// named, up to one in twenty. Error: more than that (says which size fits); what list_folder, list_celeba and, for
/// classes, classes_of report; classes of CelebA; no room or right to write the cache.
Dataset open_dataset(const std::filesystem::path& path, const DatasetOptions& options);

}  // namespace ito::data
