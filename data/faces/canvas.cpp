#include "data/faces/canvas.h"

#include <algorithm>
#include <cmath>

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

Paint Paint::linear(Point from, Point to, std::initializer_list<Stop> stops) {
  Paint paint{Color{}};
  const Point way = to - from;
  paint.kind_ = Kind::linear, paint.origin_ = from;
  paint.along_ = (1 / (way.x * way.x + way.y * way.y)) * way;
  paint.stop_count_ = int(stops.size());
  std::copy(stops.begin(), stops.end(), paint.stops_.begin());
  return paint;
}

Paint Paint::radial(Point center, double inner, double outer, std::initializer_list<Stop> stops) {
  Paint paint{Color{}};
  paint.kind_ = Kind::radial, paint.origin_ = center;
  paint.inner_ = inner, paint.width_ = outer - inner;
  paint.stop_count_ = int(stops.size());
  std::copy(stops.begin(), stops.end(), paint.stops_.begin());
  return paint;
}

Canvas::Mask::Mask(int width, int height)
    : surface(cairo_image_surface_create(CAIRO_FORMAT_A8, width, height), cairo_surface_destroy),
      cairo(cairo_create(surface.get()), cairo_destroy) {
  cairo_set_line_cap(cairo.get(), CAIRO_LINE_CAP_ROUND);
  cairo_set_line_join(cairo.get(), CAIRO_LINE_JOIN_ROUND);
  cairo_set_tolerance(cairo.get(), 0.2);
}

uint8_t* Canvas::Mask::row(int y) const {
  return cairo_image_surface_get_data(surface.get()) +
         ptrdiff_t(y) * cairo_image_surface_get_stride(surface.get());
}

void Canvas::Mask::set(uint8_t value) {
  const int height = cairo_image_surface_get_height(surface.get());
  std::fill(row(0), row(height), value);
  cairo_surface_mark_dirty(surface.get());
}

Canvas::Canvas(int width, int height)
    : width_(width),
      height_(height),
      pixels_(size_t(width) * height),
      shape_(width, height),
      clip_(width, height) {
  cairo_matrix_init_identity(&matrix_);
  clip_.set(255);
}

void Canvas::trace(const Mask& mask, const Path& path) const {
  cairo_t* cr = mask.cairo.get();
  cairo_set_matrix(cr, &matrix_);
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

/// The pixels that a rectangle may touch.
Canvas::Box Canvas::pixels_of(Point low, Point high) const {
  double left = width_, top = height_, right = 0, bottom = 0;
  for (Point p : {low, high, Point{low.x, high.y}, Point{high.x, low.y}}) {
    cairo_matrix_transform_point(&matrix_, &p.x, &p.y);
    left = std::min(left, p.x), right = std::max(right, p.x);
    top = std::min(top, p.y), bottom = std::max(bottom, p.y);
  }
  Box box{std::max(0, int(std::floor(left))), std::max(0, int(std::floor(top))),
          std::min(width_, int(std::ceil(right))), std::min(height_, int(std::ceil(bottom)))};
  if (box.left >= box.right) box.bottom = box.top;
  return box;
}

void Canvas::cover(const Path& path, double stroke_width) {
  cairo_t* cr = shape_.cairo.get();
  trace(shape_, path);
  Point low, high;
  cairo_path_extents(cr, &low.x, &low.y, &high.x, &high.y);
  const Point margin{0.5 * stroke_width + 1, 0.5 * stroke_width + 1};
  covered_ = pixels_of(low - margin, high + margin);
  cairo_set_line_width(cr, stroke_width);
  stroke_width > 0 ? cairo_stroke(cr) : cairo_fill(cr);
  cairo_surface_flush(shape_.surface.get());
}

namespace {

/// A colour's channels as 0..255 and its alpha as 0..1.
struct Ink {
  float r, g, b, a;
};
Ink ink_of(Color c) { return {float(255 * c.r), float(255 * c.g), float(255 * c.b), float(c.a)}; }

inline float clamp01(float x) { return std::min(std::max(x, 0.0f), 1.0f); }

inline uint32_t blend(uint32_t pixel, Ink ink, float weight) {
  const float w = ink.a * weight;
  const float r = float(int(pixel >> 16 & 255)), g = float(int(pixel >> 8 & 255)),
              b = float(int(pixel & 255));
  return uint32_t(int(r + w * (ink.r - r) + 0.5f)) << 16 | uint32_t(int(g + w * (ink.g - g) + 0.5f)) << 8 |
         uint32_t(int(b + w * (ink.b - b) + 0.5f));
}

/// A gradient's colours as a sum of ramps: stop 0 plus, for each next stop, its difference times clamp((t -
/// start) rate).
struct Ramps {
  Ink first;
  Ink step[3];
  float start[3], rate[3];
};

Ramps ramps_of(const Stop* stops, int count) {
  Ramps ramps{ink_of(stops[0].color), {}, {}, {}};
  for (int i = 0; i + 1 < count; ++i) {
    const Ink a = ink_of(stops[i].color), b = ink_of(stops[i + 1].color);
    ramps.step[i] = {b.r - a.r, b.g - a.g, b.b - a.b, b.a - a.a};
    ramps.start[i] = float(stops[i].offset);
    ramps.rate[i] = float(1 / (stops[i + 1].offset - stops[i].offset));
  }
  return ramps;
}

inline Ink ink_at(const Ramps& ramps, float t) {
  Ink ink = ramps.first;
  for (int i = 0; i < 3; ++i) {
    const float f = clamp01((t - ramps.start[i]) * ramps.rate[i]);
    ink.r += f * ramps.step[i].r, ink.g += f * ramps.step[i].g, ink.b += f * ramps.step[i].b,
        ink.a += f * ramps.step[i].a;
  }
  return ink;
}

inline float coverage(uint8_t shape, uint8_t clip) { return float(int(shape) * int(clip)) * (1.0f / 65025); }

void mix_plain(uint32_t* row, const uint8_t* shape, const uint8_t* clip, int count, Ink ink) {
  for (int x = 0; x < count; ++x) row[x] = blend(row[x], ink, coverage(shape[x], clip[x]));
}

void mix_linear(uint32_t* row, const uint8_t* shape, const uint8_t* clip, int count, float t, float dt,
                const Ramps& ramps) {
  for (int x = 0; x < count; ++x)
    row[x] = blend(row[x], ink_at(ramps, t + dt * float(x)), coverage(shape[x], clip[x]));
}

/// (u, v) is the pixel's place from the centre, in units of the gradient's width; inner likewise.
void mix_radial(uint32_t* row, const uint8_t* shape, const uint8_t* clip, int count, Point uv, Point step,
                float inner, const Ramps& ramps) {
  const float u0 = float(uv.x), v0 = float(uv.y), du = float(step.x), dv = float(step.y);
  for (int x = 0; x < count; ++x) {
    const float u = u0 + du * float(x), v = v0 + dv * float(x);
    row[x] = blend(row[x], ink_at(ramps, std::sqrt(u * u + v * v) - inner), coverage(shape[x], clip[x]));
  }
}

void mix_glow(uint32_t* row, const uint8_t* clip, int count, Point uv, Point step, Ink ink) {
  const float u0 = float(uv.x), v0 = float(uv.y), du = float(step.x), dv = float(step.y);
  for (int x = 0; x < count; ++x) {
    const float u = u0 + du * float(x), v = v0 + dv * float(x);
    const float rest = std::max(0.0f, 1.0f - u * u - v * v);
    row[x] = blend(row[x], ink, rest * rest * float(int(clip[x])) * (1.0f / 255));
  }
}

}  // namespace

void Canvas::mix_in(const Paint& paint) {
  const Ramps ramps = ramps_of(paint.stops_.data(), paint.stop_count_);
  cairo_matrix_t back = matrix_;
  cairo_matrix_invert(&back);
  const Box box = covered_;
  const int count = box.right - box.left;
  for (int y = box.top; y < box.bottom; ++y) {
    uint32_t* row = pixels_.data() + size_t(y) * width_ + box.left;
    uint8_t* shape = shape_.row(y) + box.left;
    const uint8_t* clip = clip_.row(y) + box.left;
    Point at{box.left + 0.5, y + 0.5};
    cairo_matrix_transform_point(&back, &at.x, &at.y);
    const Point from = at - paint.origin_, step{back.xx, back.yx};
    switch (paint.kind_) {
      case Paint::Kind::plain:
        mix_plain(row, shape, clip, count, ramps.first);
        break;
      case Paint::Kind::linear:
        mix_linear(row, shape, clip, count, float(paint.along_.x * from.x + paint.along_.y * from.y),
                   float(paint.along_.x * step.x + paint.along_.y * step.y), ramps);
        break;
      case Paint::Kind::radial:
        mix_radial(row, shape, clip, count, (1 / paint.width_) * from, (1 / paint.width_) * step,
                   float(paint.inner_ / paint.width_), ramps);
        break;
    }
    std::fill(shape, shape + count, uint8_t(0));
  }
  cairo_surface_mark_dirty(shape_.surface.get());
}

void Canvas::fill_all(const Paint& paint) {
  shape_.set(255);
  covered_ = {0, 0, width_, height_};
  mix_in(paint);
}

void Canvas::glow(Point center, double rx, double ry, Color color) {
  cairo_matrix_t back = matrix_;
  cairo_matrix_invert(&back);
  const Box box = pixels_of(center - Point{rx, ry}, center + Point{rx, ry});
  for (int y = box.top; y < box.bottom; ++y) {
    Point at{box.left + 0.5, y + 0.5};
    cairo_matrix_transform_point(&back, &at.x, &at.y);
    mix_glow(pixels_.data() + size_t(y) * width_ + box.left, clip_.row(y) + box.left, box.right - box.left,
             {(at.x - center.x) / rx, (at.y - center.y) / ry}, {back.xx / rx, back.yx / ry}, ink_of(color));
  }
}

Canvas::Clip::Clip(Canvas& canvas, const Path& path) : canvas_(canvas), matrix_(canvas.matrix_) {
  canvas.clip_.set(0);
  canvas.trace(canvas.clip_, path);
  cairo_fill(canvas.clip_.cairo.get());
  cairo_surface_flush(canvas.clip_.surface.get());
}

Canvas::Clip::~Clip() {
  canvas_.clip_.set(255);
  canvas_.matrix_ = matrix_;
}

Image Canvas::image() const {
  for (const Mask* mask : {&shape_, &clip_}) {
    const cairo_status_t status = cairo_status(mask->cairo.get());
    if (status != CAIRO_STATUS_SUCCESS)
      fail(cat("drawing a face failed: cairo says ", cairo_status_to_string(status)));
  }
  Image out(width_, height_);
  uint8_t* to = out.rgb.data();
  for (const uint32_t pixel : pixels_) {
    to[0] = uint8_t(pixel >> 16), to[1] = uint8_t(pixel >> 8), to[2] = uint8_t(pixel);
    to += 3;
  }
  return out;
}

}  // namespace ito::data
