#include <algorithm>

#include "data/faces/painter.h"
#include "data/faces/random.h"

namespace ito::data {
namespace {

constexpr double kLip = 36;  ///< y of the upper lip's upper edge, about

/// The bearded part of the face: along the jaw from ear to ear, up to `cheek` on the cheeks, free of the
/// lips.
Path beard_shape(const Scene& s, double outset) {
  const FaceTraits& t = s.traits;
  const double x = s.skull_x(), jaw = x + 1.6 * t.turn, w = t.cheek_width + outset * 0.3,
               j = t.jaw_width + outset, mouth = 1.3 * t.turn;
  const double smile = std::max(0.0, t.smile);
  Path path = Path::smooth({{x - w - 0.3, -2},
                            {x - w - 0.2, 12},
                            {jaw - j * 1.06, 31},
                            {jaw - j * 0.88, 48},
                            {jaw - t.chin_width * 1.3, t.chin_y - 5 + outset},
                            {jaw, t.chin_y + outset * 1.6},
                            {jaw + t.chin_width * 1.3, t.chin_y - 5 + outset},
                            {jaw + j * 0.88, 48},
                            {jaw + j * 1.06, 31},
                            {x + w + 0.2, 12},
                            {x + w + 0.3, -2},
                            {x + w - 4.5, 3},
                            {x + w - 7, 20},
                            {x + w - 15, 31 - smile},
                            {mouth + 14, 31.5 - 2 * smile},
                            {mouth + 5, 31},
                            {mouth, 32},
                            {mouth - 5, 31},
                            {mouth - 14, 31.5 - 2 * smile},
                            {x - w + 15, 31 - smile},
                            {x - w + 7, 20},
                            {x - w + 4.5, 3}});
  return path;
}

void draw_stubble(const Scene& s) {
  const Canvas::Clip inside(s.canvas, head_outline(s));
  const Color shade = mix(darker(s.palette.hair, 0.45), rgb(0x33363f), 0.4);
  const double jaw = s.skull_x() + 1.6 * s.traits.turn, chin = s.traits.chin_y;
  s.canvas.fill(beard_shape(s, 0), with_alpha(shade, 0.11));
  for (const double side : {-1.0, 1.0}) {
    s.canvas.glow({jaw + side * s.traits.jaw_width * 0.92, 36}, 13, 24, with_alpha(shade, 0.36));
    s.canvas.glow({jaw + side * 15, chin - 10}, 22, 17, with_alpha(shade, 0.34));
  }
  s.canvas.glow({jaw, chin - 5}, 19, 15, with_alpha(shade, 0.4));
  s.canvas.glow({1.3 * s.traits.turn, 33.5}, 18, 6, with_alpha(shade, 0.6));
}

Paint beard_paint(const Scene& s) {
  const Color base = s.palette.hair;
  return Paint::linear({0, 0}, {0, s.traits.chin_y},
                       {{0, base}, {0.55, mix(base, s.palette.hair_dark, 0.35)}, {1, s.palette.hair_dark}});
}

void draw_mustache(const Scene& s) {
  const double x = 1.5 * s.traits.turn, smile = std::max(0.0, s.traits.smile), half = 16.5 + 2 * smile,
               end = 41 - 3.0 * smile;
  Path path;
  path.move({x, 31.2})
      .bend({x + 5, 28.6}, {x + 10, 32.0})
      .bend({x + half, 35.0 - smile}, {x + half + 1, end})
      .bend({x + half * 0.55, 37.6}, {x, 36.6});
  path.bend({x - half * 0.55, 37.6}, {x - half - 1, end})
      .bend({x - half, 35.0 - smile}, {x - 10, 32.0})
      .bend({x - 5, 28.6}, {x, 31.2})
      .close();
  s.canvas.fill(path, beard_paint(s));
  for (int i = -3; i <= 3; ++i) {
    if (i == 0) continue;
    const double side = i < 0 ? -1 : 1, u = std::abs(i) / 3.5;
    s.canvas.fill(Path::brush({x + side * (1 + 6 * u), 31.4}, {x + side * (5 + 9 * u), 32.5},
                              {x + side * (5 + 9 * u), 37}, 1.0),
                  with_alpha(s.palette.hair_light, 0.35));
  }
}

void draw_goatee(const Scene& s) {
  const FaceTraits& t = s.traits;
  const double x = 1.5 * t.turn, w = 13, open = t.smile > 0.3 ? 7.5 * t.mouth_open : 4.5 * t.mouth_open;
  const double top = 50.5 + open;
  Path path = Path::smooth({{x - 4, top},
                            {x - w * 0.8, top + 2.5},
                            {x - w * 0.95, t.chin_y - 4},
                            {x - w * 0.5, t.chin_y + 2.2},
                            {x, t.chin_y + 3.4},
                            {x + w * 0.5, t.chin_y + 2.2},
                            {x + w * 0.95, t.chin_y - 4},
                            {x + w * 0.8, top + 2.5},
                            {x + 4, top},
                            {x, top + 1.4}});
  s.canvas.fill(path, beard_paint(s));
  FaceRandom die(t.detail, 31);
  for (int i = 0; i < 9; ++i) {
    const double at = x + die.uniform(-9, 9);
    s.canvas.fill(Path::brush({at, top + 4}, {at, t.chin_y - 3}, {x + 0.6 * (at - x), t.chin_y + 2}, 0.9),
                  with_alpha(i % 2 ? s.palette.hair_light : s.palette.hair_dark, 0.4));
  }
}

void draw_full_beard(const Scene& s) {
  const Path shape = beard_shape(s, 3.0);
  s.canvas.fill(shape, beard_paint(s));
  FaceRandom die(s.traits.detail, 32);
  const Canvas::Clip inside(s.canvas, shape);
  const double x = s.skull_x();
  for (int i = 0; i < 40; ++i) {
    const double u = die.uniform(-1, 1), y = die.uniform(24, 58), at = x + u * s.traits.jaw_width;
    s.canvas.fill(Path::brush({at, y}, {at - u * 1.5, y + 5}, {at - u * 5, y + 10}, 1.1),
                  with_alpha(i % 2 ? s.palette.hair_light : s.palette.hair_dark, 0.34));
  }
}

void draw_sideburns(const Scene& s) {
  for (const double side : {-1.0, 1.0}) {
    const double x = s.skull_x() + side * s.traits.cheek_width;
    const Path strip = Path::smooth({{x + side * 1.0, -16},
                                     {x + side * 0.8, 8},
                                     {x - side * 1.0, 22},
                                     {x - side * 6.0, 21},
                                     {x - side * 5.6, 4},
                                     {x - side * 4.5, -16}});
    s.canvas.fill(strip, with_alpha(mix(s.palette.hair, s.palette.hair_dark, 0.3), 0.92));
  }
}

}  // namespace

void draw_facial_hair(const Scene& s) {
  switch (s.traits.facial_hair) {
    case FacialHair::none:
      break;
    case FacialHair::stubble:
      draw_stubble(s);
      break;
    case FacialHair::mustache:
      draw_mustache(s);
      break;
    case FacialHair::goatee:
      draw_goatee(s), draw_mustache(s);
      break;
    case FacialHair::full_beard:
      draw_full_beard(s), draw_mustache(s);
      break;
  }
  if (s.traits.sideburns && s.traits.facial_hair != FacialHair::full_beard) draw_sideburns(s);
}

}  // namespace ito::data
