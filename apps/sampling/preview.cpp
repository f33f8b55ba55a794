#include "apps/sampling/preview.h"

#include <algorithm>
#include <vector>

#include "apps/sampling/picture.h"
#include "data/pictures/contact_sheet.h"
#include "data/pictures/resize.h"
#include "kernels/base/math.h"

namespace ito::apps {
namespace {

constexpr int kGap = 1, kLeastSide = 16;

/// How many pictures of a side fit into pixels with gaps between and around them.
int fitting(int pixels, int side) { return std::max(0, (pixels - kGap) / (side + kGap)); }

struct Layout {
  data::ImageSize size;  // of a picture
  int across = 0, down = 0;
  size_t room() const { return size_t(across) * size_t(down); }
};

Layout layout_by(int factor, const engine::Shape& image, int columns, int lines) {
  Layout l;
  l.size = {std::max(1, int(image[1]) / factor), std::max(1, int(image[0]) / factor)};
  l.across = fitting(columns, l.size.width), l.down = fitting(2 * lines, l.size.height);
  return l;
}

}  // namespace

data::Image preview_grid(const uint8_t* pixels, size_t count, const engine::Shape& image, int columns,
                         int lines) {
  const int side = int(std::min(image[0], image[1])), most = int(std::max(image[0], image[1]));
  int factor = 1;
  Layout l = layout_by(factor, image, columns, lines);
  while (factor < most && l.room() < count && (l.room() == 0 || side / (factor + 1) >= kLeastSide))
    l = layout_by(++factor, image, columns, lines);
  const size_t shown = std::clamp<size_t>(l.room(), 1, count);
  const size_t rows = div_up(shown, size_t(std::max(1, l.across)));
  std::vector<data::Image> pictures;
  for (size_t i = 0; i < shown; ++i) {
    const data::Image whole = picture_of(pixels + i * size_t(image.count()), image);
    // Whole pixels: what is left over at the right and below is cut off.
    const data::Rectangle part{0, 0, std::min(whole.width, l.size.width * factor),
                               std::min(whole.height, l.size.height * factor)};
    pictures.push_back(data::resize(whole, part, l.size));
  }
  return data::make_grid(pictures, int(div_up(shown, rows)), kGap);
}

}  // namespace ito::apps
