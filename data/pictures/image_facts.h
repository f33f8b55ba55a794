#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "data/pictures/image.h"

namespace ito::data {

/// What the headers of a picture's file say about it.
struct ImageFacts {
  std::string kind;     // "PNG", as file_kind.h calls it
  ImageSize size;       // as it is stored
  std::string colours;  // "RGB (colour type 2), 8 bits, interlaced"; "" if not known
  int orientation = 1;  // EXIF's, 1 (upright) to 8
  ImageSize upright;    // the size of what viewers show
  PngTexts texts;
};

/// Error: as for read_image_size.
ImageFacts image_facts(const uint8_t* bytes, size_t size, const std::string& name);

}  // namespace ito::data
