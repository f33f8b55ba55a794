#pragma once

#include "data/image.h"
#include "fuzz_target.h"

namespace ito::fuzz {

/// Reads the size and the pixels; both agree.
inline int read_picture(const uint8_t* bytes, size_t size) {
  return only_errors([&] {
    const data::ImageSize promised = data::read_image_size(bytes, size, "input");
    const data::Image image = data::decode_image(bytes, size, "input");
    expect(image.width == promised.width && image.height == promised.height,
           "the header's size is the picture's");
    expect(image.rgb.size() == size_t(image.width) * size_t(image.height) * 3, "every pixel is there");
  });
}

}  // namespace ito::fuzz
