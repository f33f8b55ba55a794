#include "model/training/augmentation.h"

#include <cmath>
#include <numbers>

namespace ito::model {

namespace {

/// A linear map of the plane, x to the right and y down.
struct Linear2 {
  double xx = 1, xy = 0, yx = 0, yy = 1;
};

Linear2 operator*(const Linear2& a, const Linear2& b) {
  return {a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx,
          a.yx * b.xy + a.yy * b.yy};
}

Linear2 scaled(double x, double y) { return {x, 0, 0, y}; }
Linear2 turned_clockwise(double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return {c, -s, s, c};
}

double factor_of(double w) { return std::exp2(0.2 * w); }

}  // namespace

Augmentation draw_augmentation(const RandomKey& key, double probability) {
  // Two uniform numbers share a block of the stream, a normal one has its own: 0 to 4, and 5 to 8.
  const auto uniform = [&](uint32_t index) { return random_uniform(key, index); };
  const auto normal = [&](uint32_t index) { return random_normal(key, index); };
  const auto angle = [&](uint32_t index) { return (2 * uniform(index) - 1) * std::numbers::pi; };
  Augmentation a;
  if (uniform(0) < probability) a.y_flip = uniform(1) < 0.5;
  if (uniform(2) < probability) a.scale = normal(5);
  if (uniform(3) < probability) a.angle = angle(4);
  if (uniform(5) < probability) {
    a.stretch = normal(6);
    if (uniform(6) < 0.5) a.direction = angle(7);
  }
  if (uniform(8) < probability) a.shift_x = normal(7), a.shift_y = normal(8);
  return a;
}

kernels::ImageMap map_of(const Augmentation& a, int height, int width) {
  // The inverses, the last operation's first: a pixel is read where what was done moved it from.
  const double stretch = factor_of(a.stretch), scale = factor_of(a.scale);
  const Linear2 across = turned_clockwise(-a.direction), back = turned_clockwise(a.direction);
  const Linear2 m = scaled(1, a.y_flip ? -1 : 1) * scaled(1 / scale, 1 / scale) * turned_clockwise(a.angle) *
                    (across * scaled(1 / stretch, stretch) * back);
  const double x = (width - 1) / 2.0, y = (height - 1) / 2.0;  // the centre
  const double from_x = x + 0.125 * a.shift_x * width, from_y = y + 0.125 * a.shift_y * height;
  return {float(m.xx), float(m.xy), float(x - m.xx * from_x - m.xy * from_y),
          float(m.yx), float(m.yy), float(y - m.yx * from_x - m.yy * from_y)};
}

std::array<float, kAugmentationLabels> labels_of(const Augmentation& a) {
  return {a.x_flip ? 1.0f : 0.0f,
          a.y_flip ? 1.0f : 0.0f,
          float(a.scale),
          float(std::cos(a.angle) - 1),
          float(std::sin(a.angle)),
          float(a.stretch * std::cos(a.direction)),
          float(a.stretch * std::sin(a.direction)),
          float(a.shift_x),
          float(a.shift_y)};
}

}  // namespace ito::model
