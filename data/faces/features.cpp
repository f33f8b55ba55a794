#include <algorithm>
#include <cmath>

#include "data/faces/painter.h"

namespace ito::data {

Point nose_tip(const FaceTraits& t) { return {2.6 * t.turn, t.nose_length}; }

void draw_nose(const Scene& s) {
  const FaceTraits& t = s.traits;
  const Palette& p = s.palette;
  const auto [x, y] = nose_tip(t);
  const double lit = s.side(), w = t.nose_width;
  const double ball = t.pointy_nose ? 4.2 : 5.6;
  Canvas& c = s.canvas;
  // The side away from the light, from the brow to the wing.
  Path shade;
  shade.move({-lit * 6.5, -9})
      .bend({-lit * 3.2 + 0.5 * x, 4}, {x - lit * 4.2, y - 8})
      .bend({x - lit * (w + 1.5), y - 4}, {x - lit * w, y + 1.5});
  shade.bend({x - lit * 2, y + 3.5}, {x - lit * 0.5, y - 2})
      .bend({x * 0.7 - lit * 1.2, 4}, {-lit * 6.5, -9})
      .close();
  c.fill(shade, Paint::linear({-lit * 9, 0}, {x + lit * 1, 0},
                              {{0, with_alpha(p.skin_shadow, 0.25)},
                               {0.6, with_alpha(p.skin_shadow, 0.8)},
                               {1, with_alpha(p.skin_shadow, 0.1)}}));
  c.glow({x, y + 4.5}, w + 4, 5, with_alpha(p.skin_shadow, 0.75));
  c.glow({x + lit * 0.7, y - 0.8}, w * 0.95, 6.2, with_alpha(mix(p.skin, rgb(0xe0705a), 0.25), 0.6));
  c.glow({x * 0.6 + lit * 1.4, 7}, 2.7, 15, with_alpha(p.skin_light, 0.75));
  c.glow({x + lit * 1.3, y - 2.6}, ball * 0.72, ball * 0.6, with_alpha(lighter(p.skin_light, 0.25), 0.85));
  for (const double side : {-1.0, 1.0}) {
    Path wing;
    wing.move({x + side * (w - 1.0), y - 4.2})
        .bend({x + side * (w + 2.2), y - 0.2}, {x + side * (w - 1.8), y + 2.4});
    c.stroke(wing, with_alpha(p.skin_deep, 0.4), 1.05);
    c.fill(Path::ellipse({x + side * w * 0.44, y + 1.7}, w * 0.27, 1.35), with_alpha(p.skin_deep, 0.72));
  }
  if (t.pointy_nose) {
    c.fill(Path::brush({x - 2.6, y + 2.9}, {x, y + 6.2}, {x + 2.6, y + 2.9}, 1.4),
           with_alpha(p.skin_deep, 0.45));
  } else {
    c.fill(Path::brush({x - w * 0.5, y + 3.0}, {x, y + 5.2}, {x + w * 0.5, y + 3.0}, 1.0),
           with_alpha(p.skin_deep, 0.4));
  }
}

namespace {

/// The mouth's lines as numbers: corners, and the heights of the lips' edges at the middle.
struct Mouth {
  double x, half, corner_y, upper_y, lower_y;  // between upper_y and lower_y the mouth is open
  double upper_lip, lower_lip;

  Point left() const { return {x - half, corner_y}; }
  Point right() const { return {x + half, corner_y}; }
  /// The quadratic between the corners that passes (x, y) in its middle.
  Path edge(double y) const {
    Path path;
    return path.move(left()).bend({x, 2 * y - corner_y}, right());
  }
  Path opening() const {
    Path path = edge(upper_y);
    return path.bend({x, 2 * lower_y - corner_y}, left()).close();
  }
};

Mouth make_mouth(const FaceTraits& t) {
  Mouth m;
  const double joy = std::max(0.0, t.smile), round = t.smile < 0.3 ? t.mouth_open : 0.0;
  m.x = 1.3 * t.turn;
  m.half = 15.0 + 3.4 * joy - 2.6 * round;
  m.corner_y = kMouthY - 3.6 * joy + 2.4 * std::max(0.0, -t.smile);
  const double middle = kMouthY + 1.6 * joy - 1.6 * std::max(0.0, -t.smile);
  m.upper_y = middle - 1.6 * t.mouth_open * (joy > 0.3 ? 0.6 : 1.2);
  m.lower_y = middle + (joy > 0.3 ? 8.0 : 5.5) * t.mouth_open;
  m.upper_lip = 3.9 * t.lip_fullness * (1 - 0.25 * joy);
  m.lower_lip = 5.4 * t.lip_fullness * (1 - 0.2 * joy);
  return m;
}

void draw_inside(const Scene& s, const Mouth& m) {
  const bool joy = s.traits.smile > 0.3;
  const Canvas::Clip inside(s.canvas, m.opening());
  s.canvas.fill(m.opening(), rgb(0x5a1620));
  s.canvas.glow({m.x, m.lower_y + 1.5}, m.half * 0.62, 6, rgb(0xcf5560));
  const double depth = joy ? 0.62 * (m.lower_y - m.upper_y) : 1.6;
  Path teeth = m.edge(m.upper_y);
  teeth.bend({m.x, 2 * (m.upper_y + depth) - m.corner_y + (joy ? 0.5 : 0.0)}, m.left()).close();
  s.canvas.fill(
      teeth,
      Paint::linear({m.x - m.half, 0}, {m.x + m.half, 0},
                    {{0, rgb(0xcfc3bb)}, {0.25, rgb(0xfdfaf5)}, {0.75, rgb(0xfdfaf5)}, {1, rgb(0xcfc3bb)}}));
}

void draw_lips(const Scene& s, const Mouth& m) {
  const Color lip = s.palette.lip, upper_color = darker(lip, s.traits.lipstick ? 0.1 : 0.14);
  const double top = m.upper_y - m.upper_lip, bow = m.half * 0.24;
  Path upper;
  upper.move(m.left()).bend({m.x - m.half * 0.5, top + 0.25 * (m.corner_y - top)}, {m.x - bow, top});
  upper.bend({m.x, top + 1.6}, {m.x + bow, top})
      .bend({m.x + m.half * 0.5, top + 0.25 * (m.corner_y - top)}, m.right());
  upper.bend({m.x, 2 * m.upper_y - m.corner_y}, m.left()).close();
  Path lower = m.edge(m.lower_y);
  lower
      .curve({m.x + m.half * 0.58, m.lower_y + m.lower_lip * 1.2},
             {m.x - m.half * 0.58, m.lower_y + m.lower_lip * 1.2}, m.left())
      .close();
  s.canvas.fill(upper, Paint::linear({0, top}, {0, m.upper_y + 1}, {{0, lip}, {1, upper_color}}));
  s.canvas.fill(lower, Paint::linear({0, m.lower_y}, {0, m.lower_y + m.lower_lip},
                                     {{0, lighter(lip, 0.06)}, {1, darker(lip, 0.12)}}));
  s.canvas.glow({m.x + 2.5 * s.side(), m.lower_y + m.lower_lip * 0.46}, m.half * 0.36, m.lower_lip * 0.3,
                with_alpha(lighter(lip, 0.65), s.traits.lipstick ? 0.8 : 0.5));
}

}  // namespace

Point mouth_corner(const FaceTraits& t, double side) {
  const Mouth m = make_mouth(t);
  return side < 0 ? m.left() : m.right();
}

void draw_mouth(const Scene& s) {
  const Mouth m = make_mouth(s.traits);
  const Palette& p = s.palette;
  s.canvas.glow({m.x, m.lower_y + m.lower_lip + 2.6}, 11, 4, with_alpha(p.skin_shadow, 0.75));
  s.canvas.glow({m.x, 34}, 3, 4.5, with_alpha(p.skin_shadow, 0.5));
  draw_lips(s, m);
  if (s.traits.mouth_open > 0) {
    draw_inside(s, m);
  } else {
    s.canvas.stroke(m.edge(m.upper_y), with_alpha(mix(p.skin_deep, darker(p.lip, 0.6), 0.5), 0.9), 1.35);
  }
  for (const double side : {-1.0, 1.0}) {
    const Point corner{m.x + side * m.half, m.corner_y};
    s.canvas.glow(corner + Point{side * 0.8, 0}, 3, 2.8, with_alpha(p.skin_deep, 0.6));
    if (s.traits.smile < 0.5 || s.traits.age > 48) continue;  // age draws its own
    s.canvas.fill(Path::brush({side * 14.5 + s.traits.turn, 24}, {side * 23.5, 30}, {side * 22.5, 40}, 1.3),
                  with_alpha(p.skin_deep, 0.3));
  }
}

}  // namespace ito::data
