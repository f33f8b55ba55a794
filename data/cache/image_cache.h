#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/pictures/image.h"
#include "engine/io/mapped_file.h"

namespace ito::data {

/// Stored in every cache file, and counted up when the layout, the checksums or the decoded pixels change, so that new
/// files are made.
inline constexpr uint32_t kCacheVersion = 4;

struct SkippedFile {
  std::string name;
  std::string reason;
};

/// What a cache file holds: pixels, mapped, and everything else, read.
struct ImageCache {
  ImageSize size;
  std::string crop;  // its name
  std::vector<std::string> names;
  std::vector<std::string> attribute_names;
  std::vector<int8_t> attributes;   // [names, attribute_names]
  std::vector<int32_t> identities;  // [names], or empty
  std::vector<int32_t> landmarks;   // [names, kLandmarks], or empty
  std::vector<SkippedFile> skipped;
  uint64_t content_hash = 0;  // of the pixels
  std::unique_ptr<io::MappedFile> file;

  /// u8 [names, size.height, size.width, 3]
  const uint8_t* pixels() const { return reinterpret_cast<const uint8_t*>(file->data()); }
};

/// How a cache file is opened, and what it must hold.
struct CacheRequest {
  std::string crop;
  ImageSize size;
  int threads = 1;
  bool check_all = false;  // read every pixel, even where this very file was checked before
};

/// The file's content; nothing if there is no such file. Checked each time: lengths, names, attributes,
/// crop and size. The pixels are checked when this file (by device, inode, size and times) has not been yet,
/// or if asked to. Error: it is damaged, of another version, or holds another crop or size than its name
/// promises (with both).
std::optional<ImageCache> read_cache(const std::filesystem::path& path, const CacheRequest& request);

/// The version of a cache file; nothing if it is not one.
std::optional<uint32_t> cache_version(const std::filesystem::path& path);

/// Removes a cache file and the note that it was checked.
void remove_cache(const std::filesystem::path& path);

/// The hash of one image's bytes; the content hash is that of all of them in order.
uint64_t image_hash(const uint8_t* pixels, size_t bytes);
std::vector<uint64_t> image_hashes(const uint8_t* pixels, size_t count, size_t image_bytes, int threads);

/// Bytes of the file after the pixels: crop, names, attributes and so on, then a trailer of fixed size with
/// counts and checksums. It comes last because only then the number of readable pictures is known.
std::vector<uint8_t> cache_ending(const ImageCache& cache);

/// A hidden sibling of a cache file: ".<name>.<what>".
std::filesystem::path hidden_sibling(const std::filesystem::path& path, const char* what);

}  // namespace ito::data
