#include <algorithm>
#include <cmath>

#include "data/faces/painter.h"
#include "data/faces/random.h"

namespace ito::data {
namespace {

Color skin_tone(double darkness) {
  constexpr Color kTones[] = {rgb(0xfce0cd), rgb(0xf8d0b2), rgb(0xf0bd97), rgb(0xe0a378), rgb(0xc98860),
                              rgb(0xa96b48), rgb(0x875137), rgb(0x694030), rgb(0x52322a)};
  const double at = std::clamp(darkness, 0.0, 1.0) * 8;
  const int i = std::min(7, int(at));
  return mix(kTones[i], kTones[i + 1], at - i);
}

}  // namespace

Palette make_palette(const FaceTraits& t) {
  Palette p;
  p.skin = skin_tone(t.skin);
  p.skin_light = mix(p.skin, rgb(0xfff0dc), 0.42 - 0.12 * t.skin);
  p.skin_shadow = {p.skin.r * 0.80, p.skin.g * 0.66, p.skin.b * 0.61};
  p.skin_deep = {p.skin.r * 0.52, p.skin.g * 0.32, p.skin.b * 0.29};
  p.hair = t.hair;
  p.hair_light = mix(t.hair, rgb(0xffe9c8), luma(t.hair) < 0.2 ? 0.2 : 0.34);
  p.hair_dark = Color{t.hair.r * 0.62, t.hair.g * 0.56, t.hair.b * 0.56};
  p.brow = mix(darker(t.hair, 0.3), p.skin_deep, luma(t.hair) > 0.45 ? 0.45 : 0.12);
  const Color natural = mix(p.skin, rgb(0xb4504f), 0.52 - 0.12 * t.skin);
  p.lip = t.lipstick ? t.lip : natural;
  return p;
}

Path head_outline(const Scene& s) {
  const FaceTraits& t = s.traits;
  const double w = t.cheek_width, j = t.jaw_width, c = t.chin_width, y = t.chin_y;
  const double skull = s.skull_x(), jaw = skull + 1.6 * t.turn;  // the jaw follows the gaze a little
  struct Half {
    double middle, width, y;
  };
  const Half halves[] = {{skull, w * 0.5, -60.5},
                         {skull, w * 0.87, -42},
                         {skull, w, -14},
                         {skull, w * 0.99, 10},
                         {skull, j * 1.07, 29},
                         {jaw, j * 0.9, 44.5},
                         {jaw, 0.33 * j + 0.75 * c, y - 8.5},
                         {jaw, c * 0.7, y - 1.6}};
  std::vector<Point> outline = {{skull, -64.5}};
  for (const Half& h : halves) outline.push_back({h.middle + h.width, h.y});
  outline.push_back({jaw, y});
  for (size_t i = std::size(halves); i-- > 0;)
    outline.push_back({halves[i].middle - halves[i].width, halves[i].y});
  return Path::smooth(outline);
}

void draw_ears(const Scene& s) {
  const Palette& p = s.palette;
  for (const double side : {-1.0, 1.0}) {
    const double x = s.skull_x() + side * (s.traits.cheek_width + 2.2);
    const Path ear = Path::smooth({{x - side * 4, -8},
                                   {x + side * 3.2, -9.5},
                                   {x + side * 5.6, -2},
                                   {x + side * 3.8, 9},
                                   {x + side * 0.6, 15},
                                   {x - side * 3, 14}});
    s.canvas.fill(ear, side == s.side() ? p.skin : mix(p.skin, p.skin_shadow, 0.6));
    s.canvas.fill(Path::brush({x + side * 0.5, -5}, {x + side * 3.6, 1}, {x, 9}, 2.4),
                  with_alpha(p.skin_shadow, 0.9));
  }
}

namespace {

void shade_head(const Scene& s) {
  const FaceTraits& t = s.traits;
  const Palette& p = s.palette;
  Canvas& c = s.canvas;
  const double lit = s.side(), x = s.skull_x(), w = t.cheek_width;
  // Away from the light the head turns into shade; under the chin it does so too.
  c.glow({x - lit * (w + 8), 8}, 34, 88, with_alpha(p.skin_shadow, 0.55 + 0.3 * std::abs(t.light)));
  c.glow({x + lit * (w + 14), 14}, 26, 80, with_alpha(p.skin_shadow, 0.35));
  c.glow({x + 1.6 * t.turn, t.chin_y + 9}, 46, 20, with_alpha(p.skin_shadow, 0.75));
  c.glow({x + lit * 13, -30}, 27, 20, with_alpha(p.skin_light, 0.75));
  c.glow({lit * 24, 17}, 15, 12, with_alpha(p.skin_light, 0.65));
  c.glow({-lit * 23, 17}, 11, 9, with_alpha(p.skin_light, 0.3));
  c.glow({2 * t.turn, t.chin_y - 8.5}, 10, 6.5, with_alpha(p.skin_light, 0.5));
}

void blush_cheeks(const Scene& s) {
  const FaceTraits& t = s.traits;
  const Color rose = mix(rgb(0xe8475a), s.palette.skin, 0.15 + 0.2 * t.skin);
  for (const double side : {-1.0, 1.0}) {
    const double x = 0.6 * s.skull_x();
    s.canvas.glow({x + side * 26, 22}, 16, 12,
                  with_alpha(rose, (0.12 + 0.5 * t.blush) * (1 - 0.35 * t.skin)));
    if (!t.high_cheekbones) continue;
    s.canvas.glow({x + side * 31, 31}, 11, 13, with_alpha(s.palette.skin_shadow, 0.6));
    s.canvas.glow({x + side * 28, 14.5}, 11, 6.5, with_alpha(s.palette.skin_light, 0.5));
  }
}

void draw_freckles(const Scene& s) {
  FaceRandom die(s.traits.detail, 41);
  Path dots;
  for (int i = 0; i < 26; ++i) {
    const double side = i % 2 == 0 ? -1 : 1, size = die.uniform(0.45, 0.8);
    const Point at{side * die.uniform(8, 32), die.uniform(11, 24)};
    dots.add(Path::ellipse(at, size, size));
  }
  s.canvas.fill(dots, with_alpha(mix(s.palette.skin_shadow, rgb(0x9a5632), 0.5), 0.6));
}

}  // namespace

void draw_head(const Scene& s) {
  const Palette& p = s.palette;
  const double lit = s.side(), x = s.skull_x(), w = s.traits.cheek_width;
  const Path outline = head_outline(s);
  s.canvas.fill(outline, Paint::linear({x + lit * w, -30}, {x - lit * w, 30},
                                       {{0, mix(p.skin, p.skin_light, 0.5)},
                                        {0.45, p.skin},
                                        {1, mix(p.skin, p.skin_shadow, 0.55)}}));
  const Canvas::Clip inside(s.canvas, outline);
  shade_head(s);
  blush_cheeks(s);
  if (s.traits.freckles) draw_freckles(s);
}

void draw_age(const Scene& s) {
  const FaceTraits& t = s.traits;
  const Color crease = with_alpha(s.palette.skin_deep, t.skin > 0.6 ? 0.55 : 0.42);
  if (t.double_chin)
    s.canvas.fill(Path::brush({-14 + s.skull_x(), t.chin_y - 1.5}, {s.skull_x(), t.chin_y - 8},
                              {14 + s.skull_x(), t.chin_y - 1.5}, 1.6),
                  crease);
  if (t.age < 48) return;
  const double years = std::clamp((t.age - 44) / 30, 0.3, 1.0);
  const Color line = with_alpha(crease, crease.a * (0.5 + 0.5 * years));
  for (int i = 0; i < 3; ++i) {
    const double y = -25.5 - 5.2 * i, half = 17.0 - 2.0 * i;
    s.canvas.fill(Path::brush({-half + 2 * t.turn, y}, {2 * t.turn, y - 2.5}, {half + 2 * t.turn, y}, 1.1),
                  line);
  }
  for (const double side : {-1.0, 1.0}) {
    s.canvas.fill(Path::brush({side * 12.5 + t.turn, 23.5}, {side * 19.5, 29}, {side * 22, 40}, 1.7), line);
    s.canvas.fill(Path::brush({side * 33, 1}, {side * 36, 0}, {side * 38, -3}, 0.9), line);
    s.canvas.fill(Path::brush({side * 33, 3.5}, {side * 36, 4.5}, {side * 38, 6.5}, 0.9), line);
  }
}

}  // namespace ito::data
