#include "data/pictures/label.h"

#include <algorithm>

#include "data/pictures/contact_sheet.h"
#include "kernels/base/error.h"
#include "kernels/base/math.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_easy_font.h>
#pragma GCC diagnostic pop

namespace ito::data {
namespace {

/// As stb_easy_font writes them: rectangles of four corners.
struct Corner {
  float x, y, z;
  unsigned char colour[4];
};

constexpr uint8_t kLight = 220;

void fill(Image& image, int left, int top, int right, int bottom) {
  for (int y = std::max(top, 0); y < std::min(bottom, image.height); ++y)
    for (int x = std::max(left, 0); x < std::min(right, image.width); ++x)
      std::fill_n(image.rgb.begin() + (std::ptrdiff_t(y) * image.width + x) * 3, 3, kLight);
}

/// Every pixel `times` times in both directions.
Image enlarged(const Image& image, int times) {
  Image result(image.width * times, image.height * times);
  for (int y = 0; y < result.height; ++y)
    for (int x = 0; x < result.width; ++x)
      std::copy_n(image.rgb.begin() + (std::ptrdiff_t(y / times) * image.width + x / times) * 3, 3,
                  result.rgb.begin() + (std::ptrdiff_t(y) * result.width + x) * 3);
  return result;
}

int widest(const std::vector<std::string>& lines) {
  int width = 0;
  for (const std::string& line : lines) width = std::max(width, text_width(line));
  return width;
}

}  // namespace

void draw_text(Image& image, int x, int y, const std::string& text) {
  std::string line = text;  // the font's functions take what they could write to
  std::vector<Corner> corners(text.size() * 64 + 4);
  const int quads = stb_easy_font_print(float(x), float(y), line.data(), nullptr, corners.data(),
                                        int(corners.size() * sizeof(Corner)));
  for (int i = 0; i < quads; ++i) {
    const Corner &upper_left = corners[size_t(4 * i)], &lower_right = corners[size_t(4 * i + 2)];
    fill(image, int(upper_left.x), int(upper_left.y), int(lower_right.x), int(lower_right.y));
  }
}

int text_width(const std::string& text) {
  std::string line = text;
  return stb_easy_font_width(line.data());
}

Image labelled_grid(const std::vector<Image>& images, const std::vector<std::vector<std::string>>& columns,
                    const std::vector<std::string>& rows) {
  constexpr int kGap = 2, kMargin = 4;
  if (images.empty() || columns.size() * rows.size() != images.size())
    fail(cat(images.size(), " images do not make ", rows.size(), " rows of ", columns.size()));
  int widest_column = 0;
  size_t lines = 0;
  for (const auto& column : columns)
    widest_column = std::max(widest_column, widest(column)), lines = std::max(lines, column.size());
  const int times = std::max(1, div_up(widest_column, images[0].width));
  std::vector<Image> large;
  for (const Image& image : images) large.push_back(enlarged(image, times));
  const Image grid = make_grid(large, int(columns.size()), kGap);
  const int left = widest(rows) + 2 * kMargin, top = int(lines) * kTextHeight + kMargin;
  Image result(left + grid.width, top + grid.height);
  std::fill(result.rgb.begin(), result.rgb.end(), grid.rgb[0]);  // the gaps' grey
  for (int y = 0; y < grid.height; ++y)
    std::copy_n(grid.rgb.begin() + std::ptrdiff_t(y) * grid.width * 3, grid.width * 3,
                result.rgb.begin() + (std::ptrdiff_t(top + y) * result.width + left) * 3);
  const int step_x = images[0].width * times + kGap, step_y = images[0].height * times + kGap;
  for (size_t c = 0; c < columns.size(); ++c)
    for (size_t i = 0; i < columns[c].size(); ++i)
      draw_text(result, left + kGap + int(c) * step_x, kMargin + int(i) * kTextHeight, columns[c][i]);
  for (size_t r = 0; r < rows.size(); ++r)
    draw_text(result, kMargin, top + kGap + int(r) * step_y + (images[0].height * times - kTextHeight) / 2,
              rows[r]);
  return result;
}

}  // namespace ito::data
