#include <algorithm>
#include <cmath>
#include <vector>

#include "data/faces/hair.h"

namespace ito::data {
namespace {

/// How far long hair reaches, and how it waves.
struct Fall {
  double end, wave, out;  ///< y of its ends; amplitude of its waves; width at the cheeks
};

Fall long_fall(const FaceTraits& t) {
  switch (t.hair_style) {
    case HairStyle::bob:
      return {56, 0, 12};
    case HairStyle::long_wavy:
      return {112, 3.0, 16};
    default:
      return {118, 0, 11};
  }
}

/// Two waves of different length, so that no curl repeats; none above the eyes. Pixels, outwards.
double wave_at(const Scene& s, const Fall& fall, double side, double y) {
  const double phase = 1.9 * side + 0.23 * s.traits.part;
  const double wave = std::sin(0.15 * y + phase) + 0.4 * std::sin(0.083 * y + 2.3 * phase);
  return fall.wave * wave * std::clamp((y + 22) / 30, 0.0, 1.0);
}

/// One side of long hair, from the parting at `root` to its ends; drawn over the face's edge.
Path front_lock(const Scene& s, double root, double side) {
  const Fall fall = long_fall(s.traits);
  const double x = s.skull_x(), w = s.traits.cheek_width;
  const bool bob = s.traits.hair_style == HairStyle::bob;
  std::vector<Point> edge = {
      {root, -45}, {x + side * 18, -38}, {x + side * 30, -25}, {x + side * (w - 3), -8}};
  for (double y = 8; y < fall.end; y += 9)
    edge.push_back({x + side * (w - 0.05 * y + 0.8 * wave_at(s, fall, side, y)), y});
  edge.push_back({x + side * (w - (bob ? 8.5 : 4)), fall.end - (bob ? 1 : 0)});
  edge.push_back({x + side * (w + fall.out * 0.6), fall.end + 2});
  for (double y = fall.end - (bob ? 6 : 9); y > -24; y -= 9)
    edge.push_back(
        {x + side * (w + fall.out * (bob ? 1 : 0.8 + 0.002 * y) + wave_at(s, fall, side, y + 6)), y});
  const double near = s.traits.hat == Hat::none ? 0 : 4;  // a hat holds the hair to the head
  edge.insert(edge.end(), {{x + side * (w + 7 - near), -36}, {x + side * (w + 0.5 - near), -56}});
  const auto crown = [&](double at) { return Point{at, -77.5 + 0.011 * (at - x) * (at - x)}; };
  for (double at = w - 14; side * (root - x) < at - 5; at -= 11) edge.push_back(crown(x + side * at));
  edge.push_back(crown(root));
  return Path::smooth(edge, false).close();
}

}  // namespace

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
    Path light, dark;
    for (int i = 0; i < 5; ++i) {
      const double at = x + side * (w + (i + 0.5) / 5 * fall.out * 0.85);
      std::vector<Point> strand;
      for (double y = -12; y < fall.end; y += 9)
        strand.push_back({at + side * wave_at(s, fall, side, y + 3) - 0.7, y});
      for (double y = fall.end - 9; y > -12; y -= 9)
        strand.push_back({at + side * wave_at(s, fall, side, y + 3) + 0.7, y});
      (i % 2 == 0 ? dark : light).add(Path::smooth(strand));
    }
    fill_strands(s, light, dark);
  }
  s.canvas.glow({x + s.side() * 26, -46}, 15, 8, with_alpha(s.palette.hair_light, 0.5));
}

void draw_long_back(const Scene& s) {
  const Fall fall = long_fall(s.traits);
  const double x = s.skull_x(), w = s.traits.cheek_width + fall.out * (fall.wave > 0 ? 0.45 : 0.75);
  const double crown = s.traits.hat == Hat::none ? -90 : -45;
  Path back;
  back.move({x - w, -10}).curve({x - w + 4, crown}, {x + w - 4, crown}, {x + w, -10});
  back.line({x + w, fall.end}).line({x - w, fall.end}).close();
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

}  // namespace ito::data
