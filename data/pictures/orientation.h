#pragma once

#include <string_view>

#include "data/pictures/file_kind.h"
#include "data/pictures/image.h"

namespace ito::data {

/// How a stored picture becomes an upright one: the upright pixel (x, y) is the stored one at (a, b), where
/// (a, b) = (y, x) if `swap`, else (x, y), and then a is counted from the right if `from_right`, b from below
/// if `from_below`.
struct Turn {
  bool swap = false, from_right = false, from_below = false;

  bool is_none() const { return !swap && !from_right && !from_below; }
  /// The upright size of a stored picture, and the stored size of an upright one.
  ImageSize size(ImageSize other) const;
  /// Where a part of the upright picture is in the stored one, and the reverse.
  Rectangle stored(Rectangle part, ImageSize upright_size) const;
  Rectangle upright(Rectangle part, ImageSize stored_size) const;
  Image image(const Image& stored) const;
};

/// By EXIF's orientation, 1 to 8 (tag 0x0112 of the first directory; CIPA DC-008, 4.6.5.1); no turn for any
/// other number.
Turn turn_of(int exif_orientation);

/// EXIF's orientation in a TIFF block, as the formats below hold it; 1 if it has none.
int exif_orientation(std::string_view tiff);

/// EXIF's orientation of a picture: a JPEG (APP1), PNG (eXIf) or WebP (EXIF); 1 if it has none.
int exif_orientation(std::string_view file, PictureFormat format);

/// How the picture is to be turned by its EXIF orientation.
Turn turn_of(std::string_view file, PictureFormat format);

}  // namespace ito::data
