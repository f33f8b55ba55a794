#include <cmath>
#include <vector>

#include "data/faces/hair.h"

namespace ito::data {
namespace {

constexpr double kPi = 3.14159265358979323846;

/// Small arcs over the crown, inside an ellipse.
void draw_curls(const Scene& s, FaceRandom& die, int count, double radius, Point middle, double rx,
                double ry) {
  Path light, dark;
  for (int i = 0; i < count; ++i) {
    const double angle = die.uniform(3.3, 6.1), out = die.uniform(0.66, 1.0),
                 r = radius * die.uniform(0.7, 1.2);
    const Point at{middle.x + out * rx * std::cos(angle), middle.y + out * ry * std::sin(angle)};
    (i % 2 == 0 ? light : dark)
        .add(Path::brush(at + Point{-r, r * 0.4}, at + Point{0, -r * 1.8}, at + Point{r, r * 0.4}, 1.6));
  }
  fill_strands(s, light, dark);
}

}  // namespace

void draw_receding(const Scene& s) {
  const double x = s.skull_x();
  const Cap cap{3.5, 4, -57, 33, -42, 4};
  draw_cap(s, cap);
  FaceRandom die(s.traits.detail, 11);
  const Canvas::Clip inside(s.canvas, cap_shape(s, cap));
  draw_strands(s, die,
               {{x - 30, -66}, {x + 30, -66}, {x - 34, -62}, {x + 34, -62}, {x - 30, -54}, {x + 30, -54}}, 14,
               1.6);
  for (const double side : {-1.0, 1.0}) {
    const double w = x + side * s.traits.cheek_width;
    draw_strands(s, die,
                 {{w - side * 8, -44},
                  {w + side * 3, -36},
                  {w - side * 2, -30},
                  {w + side * 5, -20},
                  {w - side * 3, -8},
                  {w + side * 3, 2}},
                 6, 1.6);
  }
}

/// Short hair combed from a parting: a cap with a sweep over the forehead.
void draw_side_part(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width,
               way = s.traits.part < 0 ? 1 : -1;  // combed this way
  const double root = x + 1.35 * s.traits.part, drop = s.traits.bangs ? 11 : 0;
  const Cap cap{9, 5, -40, 31, -31, 4};
  draw_cap(s, cap);
  Path sweep;
  sweep.move({root, -46})
      .curve({root + way * 16, -43 + drop}, {x + way * 20, -31 + drop},
             {x + way * (w - 4), -21 + 0.5 * drop});
  sweep.curve({x + way * (w + 8), -34}, {x + way * (w + 3), -58}, {x + way * w * 0.55, -69})
      .curve({x, -78}, {root - way * 8, -70}, {root, -46})
      .close();
  shade_forehead(s, sweep);
  s.canvas.fill(sweep, hair_paint(s));
  FaceRandom die(s.traits.detail, 12);
  {
    const Canvas::Clip inside(s.canvas, sweep);
    draw_strands(s, die,
                 {{root, -47},
                  {root - way * 4, -66},
                  {x + way * 14, -41 + drop},
                  {x + way * 30, -80},
                  {x + way * (w - 3), -21},
                  {x + way * (w + 6), -38}},
                 14, 2.2);
  }
  const Canvas::Clip inside(s.canvas, cap_shape(s, cap));
  draw_strands(s, die,
               {{root, -50},
                {root, -66},
                {root - way * 10, -52},
                {root - way * 18, -72},
                {x - way * (w - 3), -16},
                {x - way * (w + 5), -24}},
               7, 2);
}

void draw_quiff(const Scene& s) {
  const double x = s.skull_x();
  draw_cap(s, {4, 2.5, -41, 31, -32, 3});
  Path top = Path::smooth({{x - 32, -38},
                           {x - 38, -52},
                           {x - 30, -70},
                           {x - 8, -80},
                           {x + 18, -79},
                           {x + 36, -68},
                           {x + 38, -50},
                           {x + 31, -37},
                           {x + 18, -42},
                           {x + 4, -39.5},
                           {x - 12, -43},
                           {x - 24, -40}});
  shade_forehead(s, top);
  s.canvas.fill(top, hair_paint(s));
  FaceRandom die(s.traits.detail, 13);
  const Canvas::Clip inside(s.canvas, top);
  draw_strands(s, die,
               {{x - 30, -39}, {x + 30, -38}, {x - 38, -60}, {x + 22, -62}, {x - 18, -78}, {x + 34, -74}}, 15,
               2.6);
}

void draw_curly(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width;
  FaceRandom die(s.traits.detail, 14);
  draw_cap(s, {8, 6, -39, 31, -31, 6});
  std::vector<Point> edge;  // over the crown from ear to ear, then back along the hairline
  for (int i = 0; i <= 20; ++i) {
    const double angle = kPi * (0.97 + 1.06 * i / 20.0), out = i % 2 == 0 ? 0 : die.uniform(3.5, 6.5);
    edge.push_back({x + (w + 6 + out) * std::cos(angle), -26 + (45 + out) * std::sin(angle)});
  }
  for (int i = 0; i <= 10; ++i) {
    const double u = 1 - 0.2 * i, down = i % 2 == 0 ? 0 : die.uniform(2.5, 5.5);
    edge.push_back({x + u * 33, -42 + 14 * u * u * u * u + down});
  }
  const Path cloud = Path::smooth(edge);
  shade_forehead(s, cloud);
  s.canvas.fill(cloud, hair_paint(s));
  const Canvas::Clip inside(s.canvas, cloud);
  draw_curls(s, die, 46, 4.2, {x, -26}, w + 6, 46);
}

void draw_afro_front(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width;
  FaceRandom die(s.traits.detail, 15);
  draw_cap(s, {16, 11, -41, 32, -31, 0});
  draw_curls(s, die, 70, 3.2, {x, -26}, w + 14, 58);
}

void draw_afro_back(const Scene& s) {
  FaceRandom die(s.traits.detail, 16);
  const Point middle{s.skull_x(), -24};
  std::vector<Point> edge;
  for (int i = 0; i < 52; ++i) {
    const double angle = 2 * kPi * i / 52, r = (i % 2 == 0 ? 60.0 : 63.5) + die.uniform(-0.8, 0.8);
    edge.push_back({middle.x + r * std::cos(angle), middle.y + r * 1.02 * std::sin(angle)});
  }
  s.canvas.fill(Path::smooth(edge), hair_paint(s, 0.25));
}

}  // namespace ito::data
