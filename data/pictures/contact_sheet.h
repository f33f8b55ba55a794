#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/pictures/image.h"

namespace ito::data {

/// Images of one size side by side, row after row, `gap` pixels of dark grey between and around them; the
/// last row may be short. Error: no images, columns < 1, gap < 0, or sizes that differ.
Image make_grid(const std::vector<Image>& images, int columns, int gap = 2);

/// The same grid from pixels u8 [count, height, width, 3].
Image make_grid(const uint8_t* pixels, size_t count, int height, int width, int columns, int gap = 2);

/// Columns of a grid of n images that comes out about square: 8 for 64.
int grid_columns(size_t n);

/// How many of n images fit into such a grid, since a picture has at most kMaxPixels. At least 1 if there are any.
size_t room_in_grid(size_t n, int height, int width, int gap = 2);

/// How many images contact_sheet shows: at most columns * rows, and only full rows that fit into a picture.
size_t room_in_sheet(size_t count, int height, int width, int columns, int rows, int gap = 2);

/// What is in a data set, at a glance: room_in_sheet images, evenly spaced from the first to the last.
/// pixels u8 [count, height, width, 3].
Image contact_sheet(const uint8_t* pixels, size_t count, int height, int width, int columns, int rows,
                    int gap = 2);

}  // namespace ito::data
