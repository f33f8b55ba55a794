#pragma once

#include "data/pictures/crop.h"
#include "data/pictures/image.h"

namespace ito::data {

/// A part of an image scaled to `size` by the antialiased triangle filter: output pixel i, whose centre lies
/// at c = (i + 1/2) s for the scale s = in/out, is the mean of the inputs x weighted by max(0, 1 - |x + 1/2 -
/// c| / max(s, 1)). Rows first, then columns, each rounded to 8 bits from sums in 22-bit fixed point: the
/// arithmetic of PIL's Image.crop(part).resize(size, BILINEAR). Error if `part` leaves the image.
Image resize(const Image& image, const Rectangle& part, ImageSize size);

/// Writes the scaled part to `out`, u8 [size.height, size.width, 3].
void resize_into(const Image& image, const Rectangle& part, ImageSize size, uint8_t* out);

}  // namespace ito::data
