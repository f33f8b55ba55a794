#include "data/faces/hair.h"

namespace ito::data {

Paint hair_paint(const Scene& s, double shade) {
  const Palette& p = s.palette;
  const Color base = mix(p.hair, p.hair_dark, shade);
  return Paint::linear(
      {40 * s.side(), -70}, {-40 * s.side(), 60},
      {{0, mix(base, p.hair_light, 0.45 * (1 - shade))}, {0.4, base}, {1, mix(base, p.hair_dark, 0.7)}});
}

void draw_strands(const Scene& s, FaceRandom& die, const Flow& flow, int count, double width) {
  Path light, dark;
  for (int i = 0; i < count; ++i) {
    const double u = (i + die.uniform(0.1, 0.9)) / count;
    (i % 2 == 0 ? light : dark)
        .add(Path::brush(flow.root_from + u * (flow.root_to - flow.root_from),
                         flow.bend_from + u * (flow.bend_to - flow.bend_from),
                         flow.tip_from + u * (flow.tip_to - flow.tip_from), width * die.uniform(0.5, 1.4)));
  }
  fill_strands(s, light, dark);
}

void fill_strands(const Scene& s, const Path& light, const Path& dark) {
  s.canvas.fill(light, with_alpha(s.palette.hair_light, 0.37));
  s.canvas.fill(dark, with_alpha(s.palette.hair_dark, 0.48));
}

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

void draw_back_hair(const Scene& s) {
  if (!has_long_hair(s.traits) && s.traits.hat != Hat::none) return;
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
  if (!has_long_hair(s.traits) && s.traits.hat != Hat::none) return draw_cap(s, {2, 1.5, -41, 31, -33, 4});
  switch (s.traits.hair_style) {
    case HairStyle::bald:
      break;
    case HairStyle::receding:
      draw_receding(s);
      break;
    case HairStyle::buzz:
      draw_cap(s, {2.5, 1.2, -40, 31, -33, 0});
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
