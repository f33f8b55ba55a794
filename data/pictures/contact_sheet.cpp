#include "data/pictures/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/pictures/codecs.h"
#include "kernels/base/error.h"
#include "kernels/base/math.h"

namespace ito::data {
namespace {

constexpr uint8_t kBackground = 32;

/// Width or height in pixels of a grid of so many images.
int64_t grid_pixels(size_t count, int columns, int height, int width, int gap) {
  const size_t across = std::min(size_t(columns), count), down = div_up(count, across);
  return (int64_t(across) * (width + gap) + gap) * (int64_t(down) * (height + gap) + gap);
}

/// A grid of `count` places, and copies of pixels u8 [height, width, 3] into them.
class Grid {
 public:
  Grid(size_t count, int height, int width, int columns, int gap)
      : height_(height), width_(width), gap_(gap) {
    if (count == 0 || columns < 1 || gap < 0 || height < 1 || width < 1) {
      fail(cat("no grid can be made of ", count, " images of ", width, "x", height, " pixels in ", columns,
               " columns with a gap of ", gap));
    }
    columns_ = std::min(size_t(columns), count);
    const size_t rows = div_up(count, columns_);
    const int64_t sheet_width = int64_t(columns_) * (width + gap) + gap;
    const int64_t sheet_height = int64_t(rows) * (height + gap) + gap;
    check_image_size(sheet_width, sheet_height, cat("a grid of ", count, " images"));
    sheet_ = Image(int(sheet_width), int(sheet_height));
    std::fill(sheet_.rgb.begin(), sheet_.rgb.end(), kBackground);
  }

  void place(size_t index, const uint8_t* pixels) {
    const int left = gap_ + int(index % columns_) * (width_ + gap_);
    const int top = gap_ + int(index / columns_) * (height_ + gap_);
    const size_t row_bytes = size_t(width_) * 3;
    for (int y = 0; y < height_; ++y) {
      std::memcpy(sheet_.pixel(left, top + y), pixels + size_t(y) * row_bytes, row_bytes);
    }
  }

  Image take() { return std::move(sheet_); }

 private:
  int height_, width_, gap_;
  size_t columns_ = 0;
  Image sheet_;
};

}  // namespace

Image make_grid(const std::vector<Image>& images, int columns, int gap) {
  const Image first = images.empty() ? Image() : Image(images[0].width, images[0].height);
  Grid grid(images.size(), first.height, first.width, columns, gap);
  for (size_t i = 0; i < images.size(); ++i) {
    if (images[i].width != first.width || images[i].height != first.height) {
      fail(cat("a grid needs images of one size; image ", i, " is ", images[i].width, "x", images[i].height,
               ", the first ", first.width, "x", first.height));
    }
    grid.place(i, images[i].rgb.data());
  }
  return grid.take();
}

Image make_grid(const uint8_t* pixels, size_t count, int height, int width, int columns, int gap) {
  Grid grid(count, height, width, columns, gap);
  for (size_t i = 0; i < count; ++i) grid.place(i, pixels + i * size_t(height) * size_t(width) * 3);
  return grid.take();
}

int grid_columns(size_t n) { return std::max(1, int(std::ceil(std::sqrt(double(n))))); }

size_t room_in_grid(size_t n, int height, int width, int gap) {
  const auto fits = [&](size_t count) {
    return grid_pixels(count, grid_columns(count), height, width, gap) <= kMaxPixels;
  };
  const int64_t near =
      kMaxPixels / ((int64_t(height) + gap) * (width + gap));  // above the answer, and close to it
  n = std::min(n, size_t(std::max<int64_t>(near, 1)));
  while (n > 1 && !fits(n)) --n;
  return n;
}

size_t room_in_sheet(size_t count, int height, int width, int columns, int rows, int gap) {
  if (columns < 1 || rows < 1) return 0;
  const auto fits = [&](int across, int down) {
    return grid_pixels(size_t(across) * size_t(down), across, height, width, gap) <= kMaxPixels;
  };
  while (rows > 1 && !fits(columns, rows)) --rows;
  while (columns > 1 && !fits(columns, rows)) --columns;
  return std::min(count, size_t(columns) * size_t(rows));
}

Image contact_sheet(const uint8_t* pixels, size_t count, int height, int width, int columns, int rows,
                    int gap) {
  const size_t shown = room_in_sheet(count, height, width, columns, rows, gap);
  Grid grid(shown, height, width, columns, gap);
  for (size_t i = 0; i < shown; ++i) {
    const size_t index = shown > 1 ? i * (count - 1) / (shown - 1) : 0;
    grid.place(i, pixels + index * size_t(height) * size_t(width) * 3);
  }
  return grid.take();
}

}  // namespace ito::data
