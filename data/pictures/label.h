#pragma once

#include <string>
#include <vector>

#include "data/pictures/image.h"

namespace ito::data {

/// Writes a line of ASCII into an image in light grey, its upper left corner at (x, y), letters 10 pixels high. What
/// does not fit is cut off.
void draw_text(Image& image, int x, int y, const std::string& text);
/// Pixels that draw_text takes.
int text_width(const std::string& text);
inline constexpr int kTextHeight = 12;

/// A grid as make_grid has it, with text above each column (any number of lines) and before each row. Images are
/// repeated pixel by pixel until they are as wide as their labels. Error: labels that do not fit the grid; what
/// make_grid reports.
Image labelled_grid(const std::vector<Image>& images, const std::vector<std::vector<std::string>>& columns,
                    const std::vector<std::string>& rows);

}  // namespace ito::data
