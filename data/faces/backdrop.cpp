#include <algorithm>

#include "data/faces/painter.h"
#include "data/faces/random.h"

namespace ito::data {
namespace {

constexpr double kHeight = 218;

void draw_bokeh(const Scene& s) {
  FaceRandom die(s.traits.detail, 1);
  const Color base = s.traits.backdrop_top;
  for (int i = 0; i < 11; ++i) {
    const bool left = i % 2 == 0;
    const Point at{left ? die.uniform(-5, 48) : die.uniform(130, 183), die.uniform(5, 200)};
    const double radius = die.uniform(7, 19);
    const Color warm = die.pick({rgb(0xfff1c9), rgb(0xffd9a0), rgb(0xffffff), lighter(base, 0.5)});
    const double alpha = die.uniform(0.16, 0.4);
    s.canvas.fill(Path::ellipse(at, radius, radius), Paint::radial(at, 0, radius,
                                                                   {{0, with_alpha(warm, alpha * 0.7)},
                                                                    {0.9, with_alpha(warm, alpha)},
                                                                    {1, with_alpha(warm, alpha * 0.8)}}));
  }
}

void draw_clouds(const Scene& s) {
  FaceRandom die(s.traits.detail, 2);
  for (int i = 0; i < 4; ++i) {
    const double x = i % 2 == 0 ? die.uniform(5, 40) : die.uniform(138, 173);
    const double y = die.uniform(20, 150);
    for (int puff = 0; puff < 3; ++puff) {
      const Point at{x + 14.0 * (puff - 1), y + (puff == 1 ? -4.0 : 0.0)};
      s.canvas.glow(at, die.uniform(15, 22), die.uniform(9, 13), Color{1, 1, 1, 0.75});
    }
  }
}

/// A wall with a lit window on one side and a shelf or picture on the other.
void draw_room(const Scene& s) {
  FaceRandom die(s.traits.detail, 3);
  const bool window_left = s.side() < 0;
  const double x = window_left ? die.uniform(-22, -8) : die.uniform(134, 146), y = die.uniform(12, 40);
  const Color frame = lighter(s.traits.backdrop_top, 0.55);
  s.canvas.fill(Path::rounded({x, y}, 54, 118, 2), frame);
  const Path pane = Path::rounded({x + 4, y + 4}, 46, 110, 1);
  s.canvas.fill(pane, Paint::linear({0, y}, {0, y + 118}, {{0, rgb(0xcfe8f6)}, {1, rgb(0xfdf3dc)}}));
  s.canvas.fill(Path::rounded({x + 25.5, y + 4}, 3, 110, 0), frame);
  s.canvas.fill(Path::rounded({x + 4, y + 56}, 46, 3, 0), frame);
  const double px = window_left ? die.uniform(136, 148) : die.uniform(-12, 2), py = die.uniform(30, 70);
  const Color art = die.pick({rgb(0xc8664a), rgb(0x3f7f86), rgb(0xd9a441), rgb(0x5c5f8d), rgb(0x6f8f5a)});
  s.canvas.fill(Path::rounded({px, py}, 42, 54, 1.5), darker(s.traits.backdrop_bottom, 0.45));
  s.canvas.fill(Path::rounded({px + 3.5, py + 3.5}, 35, 47, 0.5), lighter(art, 0.6));
  s.canvas.fill(Path::ellipse({px + 21, py + 26}, 11, 11), art);
}

}  // namespace

void draw_backdrop(const Scene& s) {
  const FaceTraits& t = s.traits;
  const Color top = t.backdrop_top, bottom = t.backdrop_bottom;
  if (t.backdrop == Backdrop::plain) {  // a studio's wall: bright next to the head, dim in the corners
    s.canvas.fill_all(
        Paint::radial({89 + 55 * s.side(), 80}, 0, 175, {{0, lighter(top, 0.18)}, {0.4, top}, {1, bottom}}));
    return;
  }
  const double slant = t.backdrop == Backdrop::sky ? 0 : 60 * t.light;
  s.canvas.fill_all(Paint::linear({89 + slant, 0}, {89 - slant, kHeight}, {{0, top}, {1, bottom}}));
  if (t.backdrop == Backdrop::gradient) s.canvas.glow({89 + 55 * s.side(), 80}, 85, 110, {1, 1, 1, 0.22});
  if (t.backdrop == Backdrop::bokeh) draw_bokeh(s);
  if (t.backdrop == Backdrop::sky) draw_clouds(s);
  if (t.backdrop == Backdrop::room) draw_room(s);
}

}  // namespace ito::data
