#pragma once

// jpeglib.h uses what these declare.
#include <cstddef>
#include <cstdio>
// And comes after them.
#include <jpeglib.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "data/pictures/image.h"

namespace ito::tests {

/// A JPEG by libjpeg, of which `adjust` may change what it likes.
inline std::string jpeg_of(const data::Image& image,
                           const std::function<void(jpeg_compress_struct&)>& adjust) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = JDIMENSION(image.width), info.image_height = JDIMENSION(image.height);
  info.input_components = 3, info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&info);
  adjust(info);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image.pixel(0, int(info.next_scanline)));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  std::string result(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return result;
}

}  // namespace ito::tests
