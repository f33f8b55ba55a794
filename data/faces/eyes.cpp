#include <cmath>

#include "data/faces/painter.h"

namespace ito::data {
namespace {

/// One eye in its own frame: origin at its middle, `outer` the sign of x towards the temple.
struct Eye {
  double outer, half_width, up, down;

  Point inner_corner() const { return {-outer * half_width * 0.95, 1.6}; }
  Point outer_corner() const { return {outer * half_width, 0.2}; }
  Point upper_control1() const { return {-outer * half_width * 0.55, -up * 1.3}; }
  Point upper_control2() const { return {outer * half_width * 0.6, -up * 1.38}; }
  Path opening() const {
    Path path;
    path.move(inner_corner()).curve(upper_control1(), upper_control2(), outer_corner());
    return path
        .curve({outer * half_width * 0.62, down * 1.32}, {-outer * half_width * 0.5, down * 1.3},
               inner_corner())
        .close();
  }
  Path upper_edge() const {
    Path path;
    return path.move(inner_corner()).curve(upper_control1(), upper_control2(), outer_corner());
  }
  /// The upper edge as a stroke that thickens towards the temple, with a flick of length `flick`.
  Path lash_line(double thick, double flick) const {
    const Point tip = outer_corner() + Point{outer * flick, -0.75 * flick};
    Path path;
    path.move(inner_corner()).curve(upper_control1(), upper_control2(), tip);
    const Point lift{0, thick * 1.25};
    return path.curve(upper_control2() - lift, upper_control1() - 0.75 * lift, inner_corner()).close();
  }
};

Eye make_eye(const FaceTraits& t, double outer) {
  const double away = t.turn * outer > 0 ? std::abs(t.turn) : 0;  // the eye on the far side is foreshortened
  const double size = t.eye_size, open = t.eye_opening;
  const double squint = t.smile > 0.5 ? 0.6 : 0.0;  // a smile lifts the lower lid
  return {outer, 10.6 * size * (1 - 0.09 * away), 5.9 * size * open,
          (4.6 - squint) * size * (0.35 + 0.65 * open)};
}

void draw_lids(const Scene& s, const Eye& eye) {
  const FaceTraits& t = s.traits;
  const Palette& p = s.palette;
  const Color socket = t.eye_makeup ? mix(t.eye_shadow, p.skin, 0.15 + 0.2 * t.skin) : p.skin_shadow;
  s.canvas.glow({eye.outer * 0.8, -4.5}, 16, 10.5, with_alpha(socket, t.eye_makeup ? 0.8 : 0.55));
  const Point up{0, -3.1};
  Path crease;
  crease.move(eye.inner_corner() + Point{eye.outer * 1.5, -2.6});
  crease.curve(eye.upper_control1() + up, eye.upper_control2() + up,
               eye.outer_corner() + Point{eye.outer, -1.6});
  s.canvas.stroke(crease, with_alpha(p.skin_deep, 0.55), 0.9);
  if (!t.bags_under_eyes) return;
  s.canvas.fill(Path::brush({-eye.outer * 8, 6.6}, {0, 14.4}, {eye.outer * 9, 6.4}, 2.6),
                with_alpha(p.skin_shadow, 0.85));
  s.canvas.fill(Path::brush({-eye.outer * 7, 8.2}, {0, 14.6}, {eye.outer * 8, 7.8}, 0.7),
                with_alpha(p.skin_deep, 0.4));
}

void draw_iris(const Scene& s, Point at, double radius) {
  const Color iris = s.traits.iris;
  s.canvas.fill(
      Path::ellipse(at, radius, radius),
      Paint::radial(
          at, 0, radius,
          {{0, lighter(iris, 0.12)}, {0.5, lighter(iris, 0.1)}, {0.8, iris}, {1, darker(iris, 0.62)}}));
  // Light that crosses the eye brightens the iris opposite to where it came from.
  s.canvas.glow(at + Point{-1.3 * s.side(), 1.9}, radius * 0.62, radius * 0.55,
                with_alpha(lighter(iris, 0.5), 0.65));
  s.canvas.fill(Path::ellipse(at, radius * 0.46, radius * 0.46), rgb(0x0e0a0c));
  s.canvas.fill(Path::ellipse(at + Point{1.7 * s.side(), -2.0}, 1.55, 1.55), Color{1, 1, 1, 0.96});
  s.canvas.fill(Path::ellipse(at + Point{-1.6 * s.side(), 2.0}, 0.75, 0.75), Color{1, 1, 1, 0.5});
}

void draw_eye(const Scene& s, double outer) {
  const FaceTraits& t = s.traits;
  const Eye eye = make_eye(t, outer);
  draw_lids(s, eye);
  {
    const Canvas::Clip inside(s.canvas, eye.opening());
    s.canvas.fill(Path::rounded({-14, -10}, 28, 20, 0),
                  Paint::linear({0, -eye.up}, {0, eye.down},
                                {{0, rgb(0xcfc4c6)}, {0.45, rgb(0xfaf7f4)}, {1, rgb(0xf3ebe8)}}));
    draw_iris(s, pupil(t, outer) - Point{outer * kEyeX, 0}, 5.5 * t.eye_size);
    s.canvas.stroke(eye.upper_edge().moved({0, 1.0}), Color{0.12, 0.06, 0.08, 0.28},
                    2.2);  // the lid's shadow
  }
  const Color lash = t.male ? mix(s.palette.skin_deep, rgb(0x17100f), 0.55) : rgb(0x1d1215);
  const double thick = t.male ? 1.25 : t.eye_makeup ? 2.5 : 1.9;
  s.canvas.fill(eye.lash_line(thick, t.male ? 0.3 : t.eye_makeup ? 3.6 : 1.9), lash);
  Path lower;
  lower.move(eye.outer_corner())
      .curve({outer * eye.half_width * 0.62, eye.down * 1.32},
             {-outer * eye.half_width * 0.5, eye.down * 1.3}, eye.inner_corner());
  s.canvas.stroke(lower, with_alpha(t.eye_makeup ? lash : s.palette.skin_deep, 0.5), 0.8);
}

}  // namespace

Point pupil(const FaceTraits& t, double side) { return {side * kEyeX + 1.3 * t.turn, -0.9}; }

void draw_eyes(const Scene& s) {
  for (const double outer : {-1.0, 1.0}) {
    const Canvas::Clip frame(s.canvas, Path::rounded({outer * kEyeX - 19, -20}, 38, 40, 0));
    s.canvas.translate({outer * kEyeX, 0});
    draw_eye(s, outer);
  }
}

void draw_brows(const Scene& s) {
  const FaceTraits& t = s.traits;
  const double y = -13.2 - t.brow_lift - 2.2 * (t.eye_opening - 0.9);
  const double worry = t.smile < -0.5 ? 2.6 : 0.0;  // sadness raises the inner ends
  for (const double outer : {-1.0, 1.0}) {
    const double thick = t.brow_thickness, x = 0.8 * t.turn;
    const Point inner{outer * 8.6 + x, y + 0.9 - worry}, top{outer * 23.5 + x, y - t.brow_arch},
        tail{outer * 33 + x, y + 2.6};
    Path brow;
    brow.move(inner + Point{0, thick * 0.32})
        .bend({outer * 9 + x, y - thick * 0.42 - worry}, inner + Point{outer * 2.2, -thick * 0.5});
    brow.bend({outer * 16 + x, y - t.brow_arch - thick * 0.5 - 0.4 * worry}, top + Point{0, -thick * 0.45})
        .bend({outer * 29.5 + x, y - t.brow_arch * 0.7}, tail);
    brow.bend({outer * 28.5 + x, y - t.brow_arch * 0.55 + thick * 0.4}, top + Point{0, thick * 0.55});
    brow.bend({outer * 15.5 + x, y - t.brow_arch * 0.6 + thick * 0.5 - 0.4 * worry},
              inner + Point{0, thick * 0.32})
        .close();
    s.canvas.fill(brow, Paint::linear(inner, tail,
                                      {{0, with_alpha(s.palette.brow, 0.62)},
                                       {0.35, with_alpha(s.palette.brow, 0.95)},
                                       {1, with_alpha(s.palette.brow, 0.85)}}));
  }
}

}  // namespace ito::data
