#pragma once

#include <cairo.h>

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

/// What fills a shape: a colour, or a gradient along a line or between two circles of one centre.
class Paint {
 public:
  Paint(Color color);  // NOLINT: a colour is a paint
  static Paint linear(Point from, Point to, std::initializer_list<Stop> stops);
  static Paint radial(Point center, double inner, double outer, std::initializer_list<Stop> stops);

 private:
  friend class Canvas;
  Paint(cairo_pattern_t* pattern, std::initializer_list<Stop> stops);
  std::shared_ptr<cairo_pattern_t> pattern_;
};

/// An RGB picture being drawn by cairo, coordinates in pixels.
class Canvas {
 public:
  Canvas(int width, int height);

  void fill(const Path& path, const Paint& paint);
  void stroke(const Path& path, const Paint& paint, double width);
  void fill_all(const Paint& paint);
  /// A soft spot: on the ellipse d = 1, inside it the colour's alpha times (1 - d^2)^2.
  void glow(Point center, double rx, double ry, Color color);

  void translate(Point by) { cairo_translate(cairo_.get(), by.x, by.y); }
  void rotate(double radians) { cairo_rotate(cairo_.get(), radians); }
  void scale(double factor) { cairo_scale(cairo_.get(), factor, factor); }

  /// Keeps drawing inside the path, and the transform as it was, until it goes out of scope.
  class Clip {
   public:
    Clip(Canvas& canvas, const Path& path);
    ~Clip() { cairo_restore(cairo_); }
    Clip(const Clip&) = delete;
    Clip& operator=(const Clip&) = delete;

   private:
    cairo_t* cairo_;
  };

  Image image() const;

 private:
  void trace(const Path& path) const;

  std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface_;  // 0x00RRGGBB
  std::unique_ptr<cairo_t, void (*)(cairo_t*)> cairo_;
};

}  // namespace ito::data
