#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/image.h"

namespace ito::data {

/// Images of one size side by side, row after row, `gap` pixels of dark grey between and around them; the
/// last row may be short. Error: no images, columns < 1, gap < 0, or sizes that differ.
Image make_grid(const std::vector<Image>& images, int columns, int gap = 2);

/// The same for pixels u8 [count, height, width, 3].
Image make_grid(const uint8_t* pixels, size_t count, int height, int width, int columns, int gap = 2);

/// What is in a data set, at a glance: up to columns * rows images, evenly spaced from the first to the last.
/// pixels u8 [count, height, width, 3].
Image contact_sheet(const uint8_t* pixels, size_t count, int height, int width, int columns, int rows,
                    int gap = 2);

}  // namespace ito::data
