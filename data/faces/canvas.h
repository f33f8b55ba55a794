#pragma once

#include <cairo.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "data/faces/color.h"
#include "data/pictures/image.h"

/// The little of cairo that drawing a face needs: shapes as values, paints, and a canvas that takes both.
namespace ito::data {

struct Point {
  double x = 0, y = 0;
};

constexpr Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y}; }
constexpr Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y}; }
constexpr Point operator*(double s, Point p) { return {s * p.x, s * p.y}; }

/// A shape of straight and cubic pieces.
class Path {
 public:
  Path& move(Point p);
  Path& line(Point p);
  Path& curve(Point control1, Point control2, Point p);
  Path& bend(Point control, Point p);  ///< a quadratic piece
  Path& close();
  Path& add(const Path& other);

  static Path ellipse(Point center, double rx, double ry);
  static Path rounded(Point corner, double width, double height, double radius);
  /// A Catmull-Rom curve through the points.
  static Path smooth(const std::vector<Point>& points, bool closed = true);
  /// A lens along the quadratic from a to b that bends towards `control`; `width` across its middle.
  static Path brush(Point a, Point control, Point b, double width);

  Path mirrored(double axis_x = 0) const;  ///< x -> 2 axis_x - x
  Path moved(Point by) const;

 private:
  friend class Canvas;
  enum class Piece : char { move, line, curve, close };
  void through(const std::vector<Point>& points, bool closed);
  std::vector<Piece> pieces_;
  std::vector<Point> points_;
};

struct Stop {
  double offset = 0;
  Color color;
};

/// What fills a shape: a colour, or a gradient of two to four stops along a line or between two circles of
/// one centre.
class Paint {
 public:
  Paint(Color color) : stops_{{{0, color}}} {}  // NOLINT: a colour is a paint
  static Paint linear(Point from, Point to, std::initializer_list<Stop> stops);
  static Paint radial(Point center, double inner, double outer, std::initializer_list<Stop> stops);

 private:
  friend class Canvas;
  enum class Kind { plain, linear, radial };
  Kind kind_ = Kind::plain;
  Point origin_;
  Point along_;                   // linear: the position is along . (p - origin)
  double inner_ = 0, width_ = 1;  // radial: it is (|p - origin| - inner) / width
  std::array<Stop, 4> stops_{};
  int stop_count_ = 1;
};

/// An RGB picture being drawn, coordinates in pixels. cairo turns shapes into antialiased coverage; colours
/// are mixed here, by loops that the compiler vectorises: cairo's own clips and gradients take several times
/// as long.
class Canvas {
 public:
  Canvas(int width, int height);

  void fill(const Path& path, const Paint& paint) { cover(path, 0), mix_in(paint); }
  void stroke(const Path& path, const Paint& paint, double width) { cover(path, width), mix_in(paint); }
  void fill_all(const Paint& paint);
  /// A soft spot, the colour's alpha times (1 - d^2)^2 with d = 1 on the ellipse.
  void glow(Point center, double rx, double ry, Color color);

  void translate(Point by) { cairo_matrix_translate(&matrix_, by.x, by.y); }
  void rotate(double radians) { cairo_matrix_rotate(&matrix_, radians); }
  void scale(double factor) { cairo_matrix_scale(&matrix_, factor, factor); }

  /// Keeps drawing inside the path, and the transform as it was, until it goes out of scope. Clips do not
  /// nest.
  class Clip {
   public:
    Clip(Canvas& canvas, const Path& path);
    ~Clip();
    Clip(const Clip&) = delete;
    Clip& operator=(const Clip&) = delete;

   private:
    Canvas& canvas_;
    cairo_matrix_t matrix_;
  };

  Image image() const;

 private:
  /// Coverage of each pixel, 0 to 255, and what draws it.
  struct Mask {
    Mask(int width, int height);
    uint8_t* row(int y) const;
    void set(uint8_t value);
    std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface;
    std::unique_ptr<cairo_t, void (*)(cairo_t*)> cairo;
  };
  struct Box {
    int left, top, right, bottom;
  };
  void trace(const Mask& mask, const Path& path) const;
  void cover(const Path& path, double stroke_width);
  void mix_in(const Paint& paint);
  Box pixels_of(Point low, Point high) const;

  int width_, height_;
  cairo_matrix_t matrix_;         // from the drawing's coordinates to pixels
  std::vector<uint32_t> pixels_;  // 0x00RRGGBB
  Mask shape_;                    // zero between calls
  Mask clip_;                     // full without a clip
  Box covered_{};                 // where the shape may not be zero
};

}  // namespace ito::data
