#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>

#include "data/crop.h"
#include "data/image_cache.h"
#include "data/image_list.h"

namespace ito::data {

struct DecodeOptions {
  Crop crop = Crop::none;
  ImageSize size;
  int threads = 1;
  std::function<void(size_t done, size_t total)> progress;
};

/// Decodes, crops and scales every picture of `list` on all threads and writes them to `path`, which appears
/// complete or not at all; the file does not depend on the number of threads. Errors: see open_dataset.
void decode_all(const ImageList& list, const DecodeOptions& options, const std::filesystem::path& path);

}  // namespace ito::data
