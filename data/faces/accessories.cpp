#include "data/faces/painter.h"

namespace ito::data {
namespace {

Paint felt(const Scene& s, Color color) {
  return Paint::linear({44 * s.side(), -80}, {-44 * s.side(), -25},
                       {{0, lighter(color, 0.2)}, {0.45, color}, {1, darker(color, 0.35)}});
}

void shade_under_hat(const Scene& s, double y) {
  const Canvas::Clip inside(s.canvas, head_outline(s));
  const double x = s.skull_x();
  Path shade;
  shade.move({x - 50, y - 12})
      .bend({x, y - 2}, {x + 50, y - 12})
      .line({x + 50, y - 2})
      .bend({x, y + 13}, {x - 50, y - 2})
      .close();
  s.canvas.fill(shade, with_alpha(s.palette.skin_deep, 0.42));
}

Path dome(double x, double half, double bottom, double top, double sag) {
  Path path;
  path.move({x - half, bottom})
      .curve({x - half - 1, top + 14}, {x - half * 0.6, top}, {x, top})
      .curve({x + half * 0.6, top}, {x + half + 1, top + 14}, {x + half, bottom});
  return path.bend({x, bottom + sag}, {x - half, bottom}).close();
}

void draw_beanie(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width + 4.5;
  shade_under_hat(s, -26);
  s.canvas.fill(dome(x, w, -34, -92, -8), felt(s, s.traits.hat_color));
  Path band;
  band.move({x - w - 1.5, -44})
      .bend({x, -56}, {x + w + 1.5, -44})
      .bend({x + w + 3, -34}, {x + w + 0.5, -25})
      .bend({x, -38}, {x - w - 0.5, -25})
      .bend({x - w - 3, -34}, {x - w - 1.5, -44})
      .close();
  s.canvas.fill(band, felt(s, lighter(s.traits.hat_color, 0.12)));
  const Canvas::Clip inside(s.canvas, band);
  for (int i = -9; i <= 9; ++i) {
    const double at = x + 5.2 * i, dip = -0.006 * 5.2 * 5.2 * i * i * -1;
    s.canvas.fill(Path::brush({at, -52 + dip}, {at + 0.05 * (at - x), -40 + dip}, {at, -24 + dip}, 1.5),
                  with_alpha(darker(s.traits.hat_color, 0.5), 0.45));
  }
}

void draw_cap_hat(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width + 3.5, gaze = 3 * s.traits.turn;
  shade_under_hat(s, -24);
  s.canvas.fill(dome(x, w, -33, -86, -6), felt(s, s.traits.hat_color));
  s.canvas.stroke(Path::brush({x + gaze, -86}, {x + gaze * 2, -60}, {x + gaze * 2, -40}, 0.2),
                  with_alpha(darker(s.traits.hat_color, 0.5), 0.4), 0.9);
  s.canvas.fill(Path::ellipse({x + 1.6 * gaze, -54}, 9, 7.5),
                with_alpha(lighter(s.traits.hat_color, 0.75), 0.95));
  s.canvas.fill(Path::ellipse({x + 1.6 * gaze, -54}, 4.5, 3.8), darker(s.traits.hat_color, 0.15));
  Path brim;
  brim.move({x - w + 2, -35}).curve({x - w * 0.5 + gaze, -47}, {x + w * 0.5 + gaze, -47}, {x + w - 2, -35});
  brim.curve({x + w + 1 + gaze, -26}, {x + w * 0.62 + gaze, -29}, {x + gaze, -29.5})
      .curve({x - w * 0.62 + gaze, -29}, {x - w - 1 + gaze, -26}, {x - w + 2, -35})
      .close();
  s.canvas.fill(brim, Paint::linear({0, -45}, {0, -27},
                                    {{0, lighter(s.traits.hat_color, 0.1)},
                                     {0.6, darker(s.traits.hat_color, 0.12)},
                                     {1, darker(s.traits.hat_color, 0.45)}}));
}

void draw_brimmed_hat(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width;
  const Color color = s.traits.hat_color;
  shade_under_hat(s, -24);
  s.canvas.fill(dome(x, w - 3, -38, -92, -4), felt(s, color));
  Path ribbon;
  ribbon.move({x - w + 3, -50})
      .bend({x, -57}, {x + w - 3, -50})
      .line({x + w - 2, -37})
      .bend({x, -44}, {x - w + 2, -37})
      .close();
  s.canvas.fill(ribbon, darker(color, 0.55));
  Path brim;
  brim.move({x - w - 24, -31})
      .curve({x - w + 4, -49}, {x + w - 4, -49}, {x + w + 24, -31})
      .curve({x + w + 10, -26}, {x + w * 0.4, -32}, {x, -32});
  brim.curve({x - w * 0.4, -32}, {x - w - 10, -26}, {x - w - 24, -31}).close();
  s.canvas.fill(brim, Paint::linear({0, -46}, {0, -27},
                                    {{0, lighter(color, 0.14)}, {0.6, color}, {1, darker(color, 0.4)}}));
}

}  // namespace

void draw_hat(const Scene& s) {
  switch (s.traits.hat) {
    case Hat::none:
      break;
    case Hat::cap:
      draw_cap_hat(s);
      break;
    case Hat::beanie:
      draw_beanie(s);
      break;
    case Hat::brimmed:
      draw_brimmed_hat(s);
      break;
  }
}

void draw_glasses(const Scene& s) {
  if (s.traits.glasses == Glasses::none) return;
  const Color frame = s.traits.glasses_frame;
  const double x = 0.8 * s.traits.turn, skull = s.skull_x(), w = s.traits.cheek_width;
  const bool round = s.traits.glasses == Glasses::round;
  for (const double side : {-1.0, 1.0}) {
    const Point middle{x + side * (kEyeX + 0.3), 1.2};
    const Path lens =
        round ? Path::ellipse(middle, 15, 14.2) : Path::rounded(middle + Point{-16, -11.5}, 32, 23.5, 6);
    s.canvas.fill(lens,
                  Paint::linear(middle + Point{-10, -12}, middle + Point{10, 12},
                                {{0, {1, 1, 1, 0.24}}, {0.45, {1, 1, 1, 0.03}}, {1, {0.75, 0.9, 1, 0.14}}}));
    s.canvas.stroke(lens.moved({0, 1.3}), with_alpha(s.palette.skin_deep, 0.3), 2.2);
    s.canvas.stroke(lens, frame, round ? 2.0 : 2.5);
    Path arm;
    arm.move(middle + Point{side * (round ? 14.6 : 16), -3}).line({skull + side * (w + 1), -4.5});
    s.canvas.stroke(arm, darker(frame, 0.15), 2.2);
  }
  Path bridge;
  bridge.move({x - 4.6, -0.5}).bend({x, -5}, {x + 4.6, -0.5});
  s.canvas.stroke(bridge, frame, 2.1);
}

void draw_earrings(const Scene& s) {
  if (!s.traits.earrings) return;
  for (const double side : {-1.0, 1.0}) {
    const Point lobe{s.skull_x() + side * (s.traits.cheek_width + 2.6), 16.5};
    s.canvas.fill(Path::ellipse(lobe, 1.8, 1.8), darker(s.traits.jewel, 0.1));
    s.canvas.fill(Path::ellipse(lobe + Point{0, 5.2}, 3.1, 4.2), s.traits.jewel);
    s.canvas.fill(Path::ellipse(lobe + Point{-0.8, 4}, 1.0, 1.2), Color{1, 1, 1, 0.85});
  }
}

}  // namespace ito::data
