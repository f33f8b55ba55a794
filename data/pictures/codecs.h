#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/pictures/image.h"

/// One decoder for each format, for image.cpp to choose from. The bytes are known to start like the format. Every
/// error begins with `name`.
namespace ito::data {

ImagePart decode_jpeg(const uint8_t* bytes, size_t size, const std::string& name, const ChoosePart& choose);
Image decode_png(const uint8_t* bytes, size_t size, const std::string& name);
Image decode_pnm(const uint8_t* bytes, size_t size, const std::string& name);
Image decode_webp(const uint8_t* bytes, size_t size, const std::string& name);

ImageSize jpeg_size(const uint8_t* bytes, size_t size, const std::string& name);
ImageSize png_size(const uint8_t* bytes, size_t size, const std::string& name);
ImageSize pnm_size(const uint8_t* bytes, size_t size, const std::string& name);
ImageSize webp_size(const uint8_t* bytes, size_t size, const std::string& name);

/// A channel value composited over white with this alpha (0 to 255), rounded.
inline uint8_t over_white(int value, int alpha) {
  return uint8_t((value * alpha + 255 * (255 - alpha) + 127) / 255);
}

/// Error unless both sides are positive and the area is at most kMaxPixels.
void check_image_size(int64_t width, int64_t height, const std::string& name);

}  // namespace ito::data
