#pragma once

#include <filesystem>
#include <vector>

#include "data/dataset.h"
#include "data_helpers.h"

/// What the tests of whole data sets share: folders of made-up pictures, and a cache next to them.
namespace ito::tests {

inline data::DatasetOptions options_for(const TempFolder& folder, int height, int width) {
  data::DatasetOptions options;
  options.height = height;
  options.width = width;
  options.cache_dir = folder / "cache";
  options.threads = 3;
  return options;
}

/// All files of a cache folder but the notes that say which were checked.
inline std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
    if (entry.path().extension() != ".checked") files.push_back(entry.path());
  }
  return files;
}

/// `count` PNGs of this size, 00.png and so on.
inline void make_pngs(const std::filesystem::path& folder, int count, int width, int height) {
  std::filesystem::create_directories(folder);
  for (int i = 0; i < count; ++i)
    write_png(folder / cat(i / 10, i % 10, ".png"), picture(width, height, uint32_t(i)));
}

}  // namespace ito::tests
