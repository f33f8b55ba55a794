#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/crop.h"
#include "data/image.h"
#include "engine/io/mapped_file.h"

namespace ito::data {

/// Part of every cache file's name: a change of the layout or of the pixels that decoding gives makes new
/// files.
inline constexpr uint32_t kCacheVersion = 1;

struct SkippedFile {
  std::string name;
  std::string reason;
};

/// What a cache file holds: pixels, mapped, and everything else, read.
struct ImageCache {
  ImageSize size;
  std::vector<std::string> names;
  std::vector<std::string> attribute_names;
  std::vector<int8_t> attributes;  // [names, attribute_names]
  std::vector<SkippedFile> skipped;
  uint64_t content_hash = 0;  // of the pixels
  std::unique_ptr<io::MappedFile> file;

  /// u8 [names, size.height, size.width, 3]
  const uint8_t* pixels() const { return reinterpret_cast<const uint8_t*>(file->data()); }
};

/// The file's content, after every byte of it was checked against its checksums on `threads` threads; nothing
/// where there is no such file. Error: the file is damaged.
std::optional<ImageCache> read_cache(const std::filesystem::path& path, int threads);

/// The hash of one image's bytes; the content hash is that of all of them in order.
uint64_t image_hash(const uint8_t* pixels, size_t bytes);

/// Bytes of the file after the pixels: names, attributes and so on, then a trailer of fixed size with counts
/// and checksums. It comes last because only then the number of readable pictures is known.
std::vector<uint8_t> cache_ending(const ImageCache& cache);

}  // namespace ito::data
