#pragma once

#include <cstddef>
#include <cstdint>

#include "data/pictures/image.h"
#include "engine/shape.h"

namespace ito::apps {

/// What --preview prints of pictures u8 [count,H,W,3], image = [H,W,3], in so many columns and lines of two pixels: a
/// grid of the first ones, scaled down by a whole number. That is the smallest number by which all fit, but no picture
/// gets smaller than 16 pixels a side for others' sake: then there are as many as fit, and at least one.
data::Image preview_grid(const uint8_t* pixels, size_t count, const engine::Shape& image, int columns,
                         int lines);

}  // namespace ito::apps
