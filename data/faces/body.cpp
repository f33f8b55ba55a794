#include "data/faces/painter.h"

namespace ito::data {
namespace {

constexpr double kBottom = 125;  ///< below the picture's lower edge whatever the pose

Path shoulders(const Scene& s, double neckline) {
  const double x = s.skull_x() * 0.6, broad = s.traits.male ? 84 : 74, slope = s.traits.male ? 84 : 87;
  Path path;
  path.move({x - 21, neckline}).curve({x - 28, slope - 2}, {x - broad + 18, slope}, {x - broad, kBottom});
  path.line({x + broad, kBottom}).curve({x + broad - 18, slope}, {x + 28, slope - 2}, {x + 21, neckline});
  return path;
}

void draw_neck(const Scene& s) {
  const Palette& p = s.palette;
  const double x = s.skull_x() * 0.6, w = s.traits.male ? 24 : 19, lit = s.side();
  Path neck;
  neck.move({x - w, 30}).line({x - w, 66}).curve({x - w, 80}, {x - w - 2, 85}, {x - w - 9, 92});
  neck.line({x - w - 9, kBottom}).line({x + w + 9, kBottom}).line({x + w + 9, 92});
  neck.curve({x + w + 2, 85}, {x + w, 80}, {x + w, 66}).line({x + w, 30}).close();
  s.canvas.fill(
      neck, Paint::linear({x + lit * w, 0}, {x - lit * w, 0},
                          {{0, mix(p.skin, p.skin_shadow, 0.25)}, {1, mix(p.skin, p.skin_shadow, 0.85)}}));
  const Canvas::Clip inside(s.canvas, neck);
  s.canvas.fill(head_outline(s).moved({-lit * 2.0, 9}),
                with_alpha(mix(p.skin_shadow, p.skin_deep, 0.35), 0.75));  // the head's shadow
  s.canvas.fill(Path::brush({x - 14, 84}, {x - 5, 92}, {x - 2, 103}, 1.4), with_alpha(p.skin_shadow, 0.7));
  s.canvas.fill(Path::brush({x + 14, 84}, {x + 5, 92}, {x + 2, 103}, 1.4), with_alpha(p.skin_shadow, 0.7));
}

Paint cloth_paint(const Scene& s, Color cloth) {
  return Paint::linear({70 * s.side(), 80}, {-70 * s.side(), 120},
                       {{0, lighter(cloth, 0.12)}, {1, darker(cloth, 0.28)}});
}

void draw_crew_neck(const Scene& s, double x) {
  Path top = shoulders(s, 82);
  top.curve({x + 15, 99}, {x - 15, 99}, {x - 21, 82}).close();
  s.canvas.fill(top, cloth_paint(s, s.traits.cloth));
  Path rim;
  rim.move({x - 21, 82}).curve({x - 15, 99}, {x + 15, 99}, {x + 21, 82});
  s.canvas.stroke(rim, darker(s.traits.cloth, 0.25), 2.2);
}

void draw_v_neck(const Scene& s, double x) {
  Path top = shoulders(s, 82);
  top.bend({x + 13, 98}, {x, 114}).bend({x - 13, 98}, {x - 21, 82}).close();
  s.canvas.fill(top, cloth_paint(s, s.traits.cloth));
}

void draw_collar(const Scene& s, double x, Color shirt) {
  Path top = shoulders(s, 78);
  top.line({x, 100}).line({x - 21, 78}).close();
  s.canvas.fill(top, cloth_paint(s, shirt));
  for (const double side : {-1.0, 1.0}) {
    Path wing;
    wing.move({x + side * 23, 71})
        .line({x + side * 26, 85})
        .line({x + side * 12, 104})
        .line({x, 95})
        .bend({x + side * 16, 86}, {x + side * 23, 71})
        .close();
    s.canvas.fill(wing, side == s.side() ? lighter(shirt, 0.25) : mix(shirt, rgb(0x8a8a98), 0.18));
    s.canvas.stroke(wing, with_alpha(darker(shirt, 0.5), 0.4), 0.7);
  }
}

void draw_suit_and_tie(const Scene& s, double x) {
  const FaceTraits& t = s.traits;
  draw_collar(s, x, rgb(0xeef0f3));
  Path tie;
  tie.move({x - 5, 93.5})
      .line({x + 5, 93.5})
      .line({x + 3.4, 101})
      .line({x + 9, kBottom})
      .line({x - 9, kBottom})
      .line({x - 3.4, 101})
      .close();
  s.canvas.fill(
      tie, Paint::linear({x - 6, 0}, {x + 6, 0}, {{0, lighter(t.accent, 0.12)}, {1, darker(t.accent, 0.2)}}));
  for (const double side : {-1.0, 1.0}) {
    Path half;
    half.move({x + side * 24, 80})
        .curve({x + side * 34, 83}, {x + side * 66, 84}, {x + side * 84, kBottom})
        .line({x + side * 8, kBottom})
        .close();
    s.canvas.fill(half, cloth_paint(s, t.cloth));
    Path lapel;
    lapel.move({x + side * 24, 80})
        .line({x + side * 35, 97})
        .line({x + side * 29, 101})
        .line({x + side * 31, 106})
        .line({x + side * 8, kBottom})
        .close();
    s.canvas.fill(lapel, lighter(t.cloth, 0.08));
  }
}

void draw_turtleneck(const Scene& s, double x) {
  const double w = s.traits.male ? 25.5 : 21;
  s.canvas.fill(shoulders(s, 84).close(), cloth_paint(s, s.traits.cloth));
  s.canvas.fill(Path::rounded({x - w, 70}, 2 * w, 21, 5), cloth_paint(s, lighter(s.traits.cloth, 0.06)));
  s.canvas.fill(Path::brush({x - w + 1, 74}, {x, 80}, {x + w - 1, 74}, 7),
                with_alpha(darker(s.traits.cloth, 0.7), 0.35));
}

void draw_necklace(const Scene& s, double x) {
  Path chain;
  chain.move({x - 20, 81}).curve({x - 14, 101}, {x + 14, 101}, {x + 20, 81});
  s.canvas.stroke(chain, darker(s.traits.jewel, 0.12), 1.5);
  s.canvas.fill(Path::ellipse({x, 98}, 3.1, 3.5), s.traits.jewel);
  s.canvas.fill(Path::ellipse({x + s.side(), 97}, 1.0, 1.0), Color{1, 1, 1, 0.85});
}

}  // namespace

void draw_body(const Scene& s) {
  const double x = s.skull_x() * 0.6;
  draw_neck(s);
  if (s.traits.necklace && s.traits.garment != Garment::crew_neck) draw_necklace(s, x);
  switch (s.traits.garment) {
    case Garment::crew_neck:
      draw_crew_neck(s, x);
      break;
    case Garment::v_neck:
      draw_v_neck(s, x);
      break;
    case Garment::collar:
      draw_collar(s, x, s.traits.cloth);
      break;
    case Garment::suit_and_tie:
      draw_suit_and_tie(s, x);
      break;
    case Garment::turtleneck:
      draw_turtleneck(s, x);
      break;
  }
  if (s.traits.necklace && s.traits.garment == Garment::crew_neck) draw_necklace(s, x);
}

}  // namespace ito::data
