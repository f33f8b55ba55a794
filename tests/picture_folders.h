#pragma once

#include <cstdio>
#include <filesystem>

#include "data/pictures/image.h"

namespace ito::tests {

/// A folder of pictures of noise, 000.png ..., as small as programs take them; other seeds, other pictures.
inline void put_pictures(const std::filesystem::path& folder, int count, unsigned seed = 1, int size = 16) {
  std::filesystem::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    data::Image image(size, size);
    for (uint8_t& value : image.rgb) value = uint8_t((seed = seed * 1664525u + 1013904223u) >> 24);
    char name[32];
    std::snprintf(name, sizeof name, "%03d.png", i);
    data::write_png(folder / name, image);
  }
}

}  // namespace ito::tests
