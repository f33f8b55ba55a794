#pragma once

/// Colours of drawn faces: plain values in [0, 1] and the few mixtures the drawing needs.
namespace ito::data {

struct Color {
  double r = 0, g = 0, b = 0, a = 1;
};

/// 0xRRGGBB as a web page writes it.
constexpr Color rgb(unsigned hex) {
  return {((hex >> 16) & 255) / 255.0, ((hex >> 8) & 255) / 255.0, (hex & 255) / 255.0, 1.0};
}

constexpr Color mix(Color from, Color to, double t) {
  return {from.r + (to.r - from.r) * t, from.g + (to.g - from.g) * t, from.b + (to.b - from.b) * t,
          from.a + (to.a - from.a) * t};
}

constexpr Color with_alpha(Color c, double alpha) { return {c.r, c.g, c.b, alpha}; }

/// Towards black and white; factor 0 leaves the colour as it is.
constexpr Color darker(Color c, double factor) { return mix(c, {0, 0, 0, c.a}, factor); }
constexpr Color lighter(Color c, double factor) { return mix(c, {1, 1, 1, c.a}, factor); }

/// Rec. 601 luma of a colour, 0 black to 1 white.
constexpr double luma(Color c) { return 0.299 * c.r + 0.587 * c.g + 0.114 * c.b; }

}  // namespace ito::data
