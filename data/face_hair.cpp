#include <algorithm>
#include <cmath>
#include <vector>

#include "data/face_painter.h"
#include "data/face_random.h"

namespace ito::data {
namespace {

Paint hair_paint(const Scene& s, double shade = 0) {
  const Palette& p = s.palette;
  const Color base = mix(p.hair, p.hair_dark, shade);
  return Paint::linear(
      {40 * s.side(), -70}, {-40 * s.side(), 60},
      {{0, mix(base, p.hair_light, 0.45 * (1 - shade))}, {0.4, base}, {1, mix(base, p.hair_dark, 0.7)}});
}

/// Strands along a flow: from a point on the parting to a point on the edge, light and dark ones in turn.
struct Flow {
  Point root_from, root_to, bend_from, bend_to, tip_from, tip_to;
};

void draw_strands(const Scene& s, FaceRandom& die, const Flow& flow, int count, double width) {
  for (int i = 0; i < count; ++i) {
    const double u = (i + die.uniform(0.1, 0.9)) / count;
    const Color tone = i % 2 == 0 ? with_alpha(s.palette.hair_light, die.uniform(0.2, 0.5))
                                  : with_alpha(s.palette.hair_dark, die.uniform(0.3, 0.6));
    s.canvas.fill(
        Path::brush(flow.root_from + u * (flow.root_to - flow.root_from),
                    flow.bend_from + u * (flow.bend_to - flow.bend_from),
                    flow.tip_from + u * (flow.tip_to - flow.tip_from), width * die.uniform(0.6, 1.3)),
        tone);
  }
}

/// The skull's hair: an outer contour `lift` above the skull, an inner edge that is the hairline.
struct Cap {
  double lift = 8;        ///< thickness over the crown
  double side = 5;        ///< thickness beside the temples
  double hairline = -38;  ///< y at the middle of the forehead
  double temple = 30;     ///< half the width where the hairline turns down
  double temple_y = -30;
  double bottom = 2;  ///< y where it ends in front of the ears
};

Path cap_shape(const Scene& s, const Cap& c) {
  const double x = s.skull_x(), w = s.traits.cheek_width;
  Path path;
  path.move({x - w - c.side * 0.4, c.bottom})
      .curve({x - w - c.side * 1.5, -24}, {x - w - c.side, -50}, {x - w * 0.62, -58 - c.lift});
  path.curve({x - w * 0.3, -66 - c.lift}, {x + w * 0.3, -66 - c.lift}, {x + w * 0.62, -58 - c.lift});
  path.curve({x + w + c.side, -50}, {x + w + c.side * 1.5, -24}, {x + w + c.side * 0.4, c.bottom});
  path.line({x + w - 2.5, c.bottom})
      .curve({x + w - 1.5, -12}, {x + c.temple + 5.5, -17}, {x + c.temple, c.temple_y});
  path.bend({x + c.temple - 4, c.hairline}, {x + c.temple * 0.35, c.hairline})
      .bend({x, c.hairline - 1}, {x - c.temple * 0.35, c.hairline});
  path.bend({x - c.temple + 4, c.hairline}, {x - c.temple, c.temple_y});
  return path.curve({x - c.temple - 5.5, -17}, {x - w + 1.5, -12}, {x - w + 2.5, c.bottom}).close();
}

/// The shadow that hair throws on the forehead.
void shade_forehead(const Scene& s, const Path& hair) {
  const Canvas::Clip inside(s.canvas, head_outline(s));
  s.canvas.fill(hair.moved({-1.2 * s.side(), 2.6}),
                with_alpha(mix(s.palette.skin_shadow, s.palette.skin_deep, 0.25), 0.55));
}

void draw_cap(const Scene& s, const Cap& c) {
  const Path shape = cap_shape(s, c);
  shade_forehead(s, shape);
  s.canvas.fill(shape, hair_paint(s));
}

void draw_buzz(const Scene& s) { draw_cap(s, {2.5, 1.2, -40, 31, -33, 0}); }

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
  Path both = sweep;
  both.add(cap_shape(s, cap));
  const Canvas::Clip inside(s.canvas, both);
  draw_strands(s, die,
               {{root, -47},
                {root - way * 4, -66},
                {x + way * 14, -41 + drop},
                {x + way * 30, -80},
                {x + way * (w - 3), -21},
                {x + way * (w + 6), -38}},
               12, 2.2);
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
  const double x = s.skull_x(), w = s.traits.cheek_width;
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
  (void)w;
}

void draw_curls_inside(const Scene& s, FaceRandom& die, int count, double radius, Point middle, double rx,
                       double ry) {
  for (int i = 0; i < count; ++i) {
    const double angle = die.uniform(3.3, 6.1), out = die.uniform(0.66, 1.0);
    const Point at{middle.x + out * rx * std::cos(angle), middle.y + out * ry * std::sin(angle)};
    const double r = radius * die.uniform(0.7, 1.2);
    const Color tone =
        i % 2 == 0 ? with_alpha(s.palette.hair_light, 0.38) : with_alpha(s.palette.hair_dark, 0.6);
    s.canvas.fill(Path::brush(at + Point{-r, r * 0.4}, at + Point{0, -r * 1.8}, at + Point{r, r * 0.4}, 1.6),
                  tone);
  }
}

constexpr double kPi = 3.14159265358979323846;

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
  draw_curls_inside(s, die, 46, 4.2, {x, -26}, w + 6, 46);
}

void draw_afro_front(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width;
  FaceRandom die(s.traits.detail, 15);
  draw_cap(s, {16, 11, -41, 32, -31, 0});
  draw_curls_inside(s, die, 70, 3.2, {x, -26}, w + 14, 58);
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

/// How far long hair reaches, and how it waves.
struct Fall {
  double end, wave, out;  ///< y of its ends; amplitude of its waves; width beside the cheeks
};

Fall long_fall(const FaceTraits& t) {
  switch (t.hair_style) {
    case HairStyle::bob:
      return {56, 0, 12};
    case HairStyle::long_wavy:
      return {112, 3.6, 16};
    default:
      return {118, 0, 11};
  }
}

double wave_at(const Fall& fall, double y) {
  return fall.wave * std::sin((y + 8) * 0.165) * std::clamp((y + 20) / 30, 0.0, 1.0);
}

/// One side of long hair, from the parting at `root` to its ends; drawn over the face's edge.
Path front_lock(const Scene& s, double root, double side) {
  const Fall fall = long_fall(s.traits);
  const double x = s.skull_x(), w = s.traits.cheek_width;
  std::vector<Point> edge = {
      {root, -45}, {x + side * 18, -37}, {x + side * 31, -24}, {x + side * (w - 2.5), -6}};
  for (double y = 8; y < fall.end; y += 9)
    edge.push_back({x + side * (w + 0.3 + wave_at(fall, y) - 0.05 * y), y});
  const bool bob = s.traits.hair_style == HairStyle::bob;
  edge.push_back({x + side * (w - (bob ? 6 : 3)), fall.end});
  edge.push_back({x + side * (w + fall.out * 0.7), fall.end + (bob ? -1 : 2)});
  for (double y = fall.end - 9; y > -20; y -= 9)
    edge.push_back({x + side * (w + fall.out * (bob ? 1 : 0.8 + 0.002 * y) + 0.9 * wave_at(fall, y + 5)), y});
  edge.insert(edge.end(),
              {{x + side * (w + 7), -38}, {x + side * (w - 8), -64}, {x + side * 14, -76}, {root, -77}});
  return Path::smooth(edge);
}

void draw_locks(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width, root = x + s.traits.part;
  const Fall fall = long_fall(s.traits);
  FaceRandom die(s.traits.detail, 17);
  for (const double side : {-1.0, 1.0}) {
    const Path lock = front_lock(s, root, side);
    shade_forehead(s, lock);
    s.canvas.fill(lock, hair_paint(s, side == s.side() ? 0 : 0.25));
    const Canvas::Clip inside(s.canvas, lock);
    draw_strands(s, die,
                 {{root, -46},
                  {root + side * 2, -76},
                  {x + side * (w - 8), -34},
                  {x + side * (w + 14), -60},
                  {x + side * (w - 2), 6},
                  {x + side * (w + 10), 2}},
                 9, 2.4);
    for (int i = 0; i < 5; ++i) {
      const double u = (i + 0.5) / 5, at = x + side * (w + u * fall.out * 0.85);
      std::vector<Point> strand;
      for (double y = -12; y < fall.end; y += 9) strand.push_back({at + side * wave_at(fall, y), y});
      s.canvas.stroke(Path::smooth(strand, false),
                      with_alpha(i % 2 == 0 ? s.palette.hair_dark : s.palette.hair_light, 0.4), 1.5);
    }
  }
  s.canvas.glow({x + s.side() * 26, -46}, 15, 8, with_alpha(s.palette.hair_light, 0.5));
}

void draw_long_back(const Scene& s) {
  const Fall fall = long_fall(s.traits);
  const double x = s.skull_x(), w = s.traits.cheek_width + fall.out * 0.8;
  Path back;
  back.move({x - w, -20})
      .curve({x - w + 4, -90}, {x + w - 4, -90}, {x + w, -20})
      .line({x + w, fall.end})
      .line({x - w, fall.end})
      .close();
  s.canvas.fill(back, Paint::linear({0, -20}, {0, 90},
                                    {{0, s.palette.hair_dark}, {1, darker(s.palette.hair_dark, 0.25)}}));
}

void draw_fringe(const Scene& s) {
  const double x = s.skull_x();
  FaceRandom die(s.traits.detail, 18);
  std::vector<Point> edge = {{x - 35, -20}, {x - 38, -40}, {x - 24, -66}, {x, -72},
                             {x + 24, -66}, {x + 38, -40}, {x + 35, -20}};
  for (int i = 1; i < 8; ++i)
    edge.push_back({x + 35 - 8.75 * i, -20.5 + (i % 2 == 0 ? 0.9 : -1.4) + die.uniform(-0.6, 0.6)});
  const Path fringe = Path::smooth(edge);
  shade_forehead(s, fringe);
  s.canvas.fill(fringe, hair_paint(s));
  const Canvas::Clip inside(s.canvas, fringe);
  draw_strands(s, die,
               {{x - 14, -70}, {x + 14, -70}, {x - 34, -44}, {x + 34, -44}, {x - 35, -19}, {x + 35, -19}}, 18,
               2.2);
  s.canvas.glow({x + s.side() * 8, -42}, 20, 5, with_alpha(s.palette.hair_light, 0.45));
}

/// Hair drawn back tightly, for a bun or a ponytail.
void draw_pulled_back(const Scene& s) {
  const double x = s.skull_x(), w = s.traits.cheek_width;
  const Cap cap{7, 3, -42, 31, -31, 2};
  draw_cap(s, cap);
  FaceRandom die(s.traits.detail, 19);
  const Canvas::Clip inside(s.canvas, cap_shape(s, cap));
  for (const double side : {-1.0, 1.0})
    draw_strands(s, die,
                 {{x + side * 2, -42},
                  {x + side * (w - 1), -4},
                  {x + side * 12, -60},
                  {x + side * (w + 4), -40},
                  {x + side * 2, -76},
                  {x + side * 12, -76}},
                 9, 1.8);
}

void draw_bun_back(const Scene& s) {
  const double x = s.skull_x();
  s.canvas.fill(Path::ellipse({x, -80}, 20, 17), hair_paint(s, 0.1));
  s.canvas.fill(Path::brush({x - 14, -84}, {x, -98}, {x + 15, -82}, 3),
                with_alpha(s.palette.hair_light, 0.45));
  s.canvas.fill(Path::brush({x - 12, -76}, {x, -70}, {x + 13, -77}, 3), with_alpha(s.palette.hair_dark, 0.6));
}

void draw_ponytail_back(const Scene& s) {
  const double way = s.traits.part < 0 ? -1 : 1, x = s.skull_x() + way * s.traits.cheek_width;
  const Path tail = Path::smooth({{x - way * 8, -10},
                                  {x + way * 8, -14},
                                  {x + way * 16, 18},
                                  {x + way * 17, 54},
                                  {x + way * 8, 92},
                                  {x - way * 6, 108},
                                  {x - way * 4, 80},
                                  {x - way * 6, 40}});
  s.canvas.fill(tail, hair_paint(s, 0.35));
  FaceRandom die(s.traits.detail, 20);
  const Canvas::Clip inside(s.canvas, tail);
  draw_strands(s, die,
               {{x - way * 4, -10},
                {x + way * 8, -10},
                {x, 40},
                {x + way * 22, 40},
                {x - way * 4, 104},
                {x + way * 8, 92}},
               8, 2.4);
}

}  // namespace

void draw_back_hair(const Scene& s) {
  switch (s.traits.hair_style) {
    case HairStyle::bob:
    case HairStyle::long_straight:
    case HairStyle::long_wavy:
      draw_long_back(s);
      break;
    case HairStyle::afro:
      draw_afro_back(s);
      break;
    case HairStyle::bun:
      draw_bun_back(s);
      break;
    case HairStyle::ponytail:
      draw_ponytail_back(s);
      break;
    default:
      break;
  }
}

void draw_front_hair(const Scene& s) {
  switch (s.traits.hair_style) {
    case HairStyle::bald:
      break;
    case HairStyle::receding:
      draw_receding(s);
      break;
    case HairStyle::buzz:
      draw_buzz(s);
      break;
    case HairStyle::side_part:
      draw_side_part(s);
      break;
    case HairStyle::quiff:
      draw_quiff(s);
      break;
    case HairStyle::curly:
      draw_curly(s);
      break;
    case HairStyle::afro:
      draw_afro_front(s);
      break;
    case HairStyle::bun:
    case HairStyle::ponytail:
      draw_pulled_back(s);
      break;
    case HairStyle::bob:
    case HairStyle::long_straight:
    case HairStyle::long_wavy:
      draw_locks(s);
      break;
  }
  if (s.traits.bangs && s.traits.hair_style != HairStyle::side_part) draw_fringe(s);
}

}  // namespace ito::data
