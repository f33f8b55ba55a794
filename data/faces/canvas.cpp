#include "data/faces/canvas.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/error.h"

namespace ito::data {

Path& Path::move(Point p) {
  pieces_.push_back(Piece::move);
  points_.push_back(p);
  return *this;
}

Path& Path::line(Point p) {
  pieces_.push_back(Piece::line);
  points_.push_back(p);
  return *this;
}

Path& Path::curve(Point control1, Point control2, Point p) {
  pieces_.push_back(Piece::curve);
  points_.insert(points_.end(), {control1, control2, p});
  return *this;
}

Path& Path::bend(Point control, Point p) {
  const Point from = points_.back();
  return curve(from + (2.0 / 3) * (control - from), p + (2.0 / 3) * (control - p), p);
}

Path& Path::close() {
  pieces_.push_back(Piece::close);
  return *this;
}

Path& Path::add(const Path& other) {
  pieces_.insert(pieces_.end(), other.pieces_.begin(), other.pieces_.end());
  points_.insert(points_.end(), other.points_.begin(), other.points_.end());
  return *this;
}

Path Path::ellipse(Point c, double rx, double ry) {
  constexpr double k = 0.5522847498;  // cubic that is nearest to a quarter of a circle
  Path path;
  path.move({c.x + rx, c.y}).curve({c.x + rx, c.y + k * ry}, {c.x + k * rx, c.y + ry}, {c.x, c.y + ry});
  path.curve({c.x - k * rx, c.y + ry}, {c.x - rx, c.y + k * ry}, {c.x - rx, c.y});
  path.curve({c.x - rx, c.y - k * ry}, {c.x - k * rx, c.y - ry}, {c.x, c.y - ry});
  return path.curve({c.x + k * rx, c.y - ry}, {c.x + rx, c.y - k * ry}, {c.x + rx, c.y}).close();
}

Path Path::rounded(Point p, double w, double h, double r) {
  Path path;
  path.move({p.x + r, p.y}).line({p.x + w - r, p.y}).bend({p.x + w, p.y}, {p.x + w, p.y + r});
  path.line({p.x + w, p.y + h - r}).bend({p.x + w, p.y + h}, {p.x + w - r, p.y + h});
  path.line({p.x + r, p.y + h}).bend({p.x, p.y + h}, {p.x, p.y + h - r});
  return path.line({p.x, p.y + r}).bend(p, {p.x + r, p.y}).close();
}

void Path::through(const std::vector<Point>& p, bool closed) {
  const int n = int(p.size());
  auto at = [&](int i) { return closed ? p[(i + n) % n] : p[i < 0 ? 0 : i >= n ? n - 1 : i]; };
  move(p[0]);
  for (int i = 0; i < (closed ? n : n - 1); ++i) {
    const Point a = at(i), b = at(i + 1);
    curve(a + (1.0 / 6) * (b - at(i - 1)), b - (1.0 / 6) * (at(i + 2) - a), b);
  }
  if (closed) close();
}

Path Path::smooth(const std::vector<Point>& points, bool closed) {
  Path path;
  path.through(points, closed);
  return path;
}

Path Path::brush(Point a, Point control, Point b, double width) {
  const Point along = b - a;
  const double length = std::max(1e-6, std::hypot(along.x, along.y));
  // A quadratic reaches half of its control point's offset.
  const Point across = (width / length) * Point{-along.y, along.x};
  Path path;
  return path.move(a).bend(control + across, b).bend(control - across, a).close();
}

Path Path::mirrored(double axis_x) const {
  Path path = *this;
  for (Point& p : path.points_) p.x = 2 * axis_x - p.x;
  return path;
}

Path Path::moved(Point by) const {
  Path path = *this;
  for (Point& p : path.points_) p = p + by;
  return path;
}

Paint::Paint(Color c) : pattern_(cairo_pattern_create_rgba(c.r, c.g, c.b, c.a), cairo_pattern_destroy) {}

Paint::Paint(cairo_pattern_t* pattern, std::initializer_list<Stop> stops)
    : pattern_(pattern, cairo_pattern_destroy) {
  for (const auto& [offset, c] : stops)
    cairo_pattern_add_color_stop_rgba(pattern, offset, c.r, c.g, c.b, c.a);
}

Paint Paint::linear(Point from, Point to, std::initializer_list<Stop> stops) {
  return {cairo_pattern_create_linear(from.x, from.y, to.x, to.y), stops};
}

Paint Paint::radial(Point c, double inner, double outer, std::initializer_list<Stop> stops) {
  return {cairo_pattern_create_radial(c.x, c.y, inner, c.x, c.y, outer), stops};
}

Canvas::Canvas(int width, int height)
    : surface_(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height), cairo_surface_destroy),
      cairo_(cairo_create(surface_.get()), cairo_destroy) {
  cairo_set_line_cap(cairo_.get(), CAIRO_LINE_CAP_ROUND);
  cairo_set_line_join(cairo_.get(), CAIRO_LINE_JOIN_ROUND);
  cairo_set_tolerance(cairo_.get(), 0.2);
}

void Canvas::trace(const Path& path) const {
  cairo_t* cr = cairo_.get();
  cairo_new_path(cr);
  const Point* p = path.points_.data();
  for (const Path::Piece piece : path.pieces_) {
    switch (piece) {
      case Path::Piece::move:
        cairo_move_to(cr, p->x, p->y), ++p;
        break;
      case Path::Piece::line:
        cairo_line_to(cr, p->x, p->y), ++p;
        break;
      case Path::Piece::curve:
        cairo_curve_to(cr, p[0].x, p[0].y, p[1].x, p[1].y, p[2].x, p[2].y), p += 3;
        break;
      case Path::Piece::close:
        cairo_close_path(cr);
        break;
    }
  }
}

void Canvas::fill(const Path& path, const Paint& paint) {
  trace(path);
  cairo_set_source(cairo_.get(), paint.pattern_.get());
  cairo_fill(cairo_.get());
}

void Canvas::stroke(const Path& path, const Paint& paint, double width) {
  trace(path);
  cairo_set_source(cairo_.get(), paint.pattern_.get());
  cairo_set_line_width(cairo_.get(), width);
  cairo_stroke(cairo_.get());
}

void Canvas::fill_all(const Paint& paint) {
  cairo_set_source(cairo_.get(), paint.pattern_.get());
  cairo_paint(cairo_.get());
}

void Canvas::glow(Point center, double rx, double ry, Color color) {
  constexpr int kStops = 9;  // the lines between them are within 1.3 % of the alpha
  Paint paint = Paint::radial({0, 0}, 0, 1, {});
  for (int i = 0; i < kStops; ++i) {
    const double d = double(i) / (kStops - 1), share = (1 - d * d) * (1 - d * d);
    cairo_pattern_add_color_stop_rgba(paint.pattern_.get(), d, color.r, color.g, color.b, share * color.a);
  }
  cairo_t* const cr = cairo_.get();
  cairo_save(cr);
  cairo_translate(cr, center.x, center.y);
  cairo_scale(cr, rx, ry);
  cairo_set_source(cr, paint.pattern_.get());
  cairo_rectangle(cr, -1, -1, 2, 2);
  cairo_fill(cr);
  cairo_restore(cr);
}

Canvas::Clip::Clip(Canvas& canvas, const Path& path) : cairo_(canvas.cairo_.get()) {
  cairo_save(cairo_);
  canvas.trace(path);
  cairo_clip(cairo_);
}

Image Canvas::image() const {
  const cairo_status_t status = cairo_status(cairo_.get());
  if (status != CAIRO_STATUS_SUCCESS)
    fail(cat("drawing a face failed: cairo says ", cairo_status_to_string(status)));
  cairo_surface_flush(surface_.get());
  Image out(cairo_image_surface_get_width(surface_.get()), cairo_image_surface_get_height(surface_.get()));
  const unsigned char* row = cairo_image_surface_get_data(surface_.get());
  uint8_t* to = out.rgb.data();
  for (int y = 0; y < out.height; ++y, row += cairo_image_surface_get_stride(surface_.get())) {
    for (int x = 0; x < out.width; ++x, to += 3) {
      uint32_t pixel = 0;
      std::memcpy(&pixel, row + 4 * x, sizeof pixel);
      to[0] = uint8_t(pixel >> 16), to[1] = uint8_t(pixel >> 8), to[2] = uint8_t(pixel);
    }
  }
  return out;
}

}  // namespace ito::data
