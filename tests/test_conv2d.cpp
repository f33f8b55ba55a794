// Every algorithm against the f64 reference, on shapes that are odd in every way; the reference against
// itself.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/product_helpers.h"

namespace {

using namespace ito;
using namespace ito::kernels;
using tests::name_of, tests::padded, tests::random_values, tests::Workspace;

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weights};
constexpr size_t kGuard = 32;

/// n, h, w, c1, c2, k, r, s, stride, top, left, bottom, right.
std::vector<Conv2dDims> cases() {
  return {
      {2, 5, 5, 3, 0, 5, 3, 3, 1, 1, 1, 1, 1},       // smaller than two Winograd tiles
      {1, 1, 1, 5, 0, 3, 3, 3, 1, 1, 1, 1, 1},       // one pixel
      {2, 8, 8, 17, 0, 19, 3, 3, 1, 1, 1, 1, 1},     // channels that fill no vector
      {2, 9, 7, 32, 0, 16, 3, 3, 1, 1, 1, 1, 1},     // H, W not multiples of the tile
      {3, 12, 16, 32, 16, 48, 3, 3, 1, 1, 1, 1, 1},  // two sources
      {2, 6, 11, 3, 17, 21, 3, 3, 1, 1, 1, 1, 1},    // two sources, odd channels
      {1, 32, 32, 3, 0, 32, 3, 3, 1, 1, 1, 1, 1},    // a network's first layer
      {1, 32, 32, 32, 0, 3, 3, 3, 1, 1, 1, 1, 1},    // and its last
      {2, 16, 16, 72, 40, 40, 3, 3, 1, 1, 1, 1, 1},  // more than one panel of everything
      {2, 7, 9, 5, 0, 7, 1, 1, 1, 0, 0, 0, 0},
      {2, 8, 8, 24, 8, 16, 1, 1, 1, 0, 0, 0, 0},
      {2, 9, 9, 4, 0, 6, 5, 5, 1, 2, 2, 2, 2},
      {2, 6, 10, 5, 3, 4, 1, 7, 1, 0, 3, 0, 3},
      {2, 8, 8, 16, 0, 24, 3, 3, 2, 0, 0, 1, 1},  // the padded downsampling of diffusers
      {2, 9, 7, 5, 17, 3, 3, 3, 2, 1, 1, 1, 1},
      {1, 5, 5, 3, 0, 5, 3, 3, 1, 0, 0, 0, 0},
      {1, 5, 6, 3, 0, 2, 3, 2, 1, 2, 0, 1, 3},
      {2, 7, 7, 3, 0, 5, 1, 1, 2, 0, 0, 0, 0},  // a stride that skips inputs
  };
}

/// An array between guard elements; as a result it starts out as NaN.
template <class T>
class Guarded {
 public:
  explicit Guarded(size_t count) : data_(count + 2 * kGuard, T(77.0f)), count_(count) {
    for (size_t i = 0; i < count; ++i) data()[i] = T(std::numeric_limits<float>::quiet_NaN());
  }
  template <class From>
  explicit Guarded(const std::vector<From>& values) : Guarded(values.size()) {
    for (size_t i = 0; i < count_; ++i) data()[i] = T(values[i]);
  }
  T* data() { return data_.data() + kGuard; }
  Out out() { return {count_ ? data() : nullptr, dtype_of<T>::value}; }
  std::vector<double> values() {
    std::vector<double> all(count_);
    for (size_t i = 0; i < count_; ++i) all[i] = widen(data()[i]);
    return all;
  }
  bool guards_intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (widen(data_[i]) != 77 || widen(data_[kGuard + count_ + i]) != 77) return false;
    }
    return true;
  }
  bool same_bits(const Guarded& other) const {
    return memcmp(data_.data(), other.data_.data(), data_.size() * sizeof(T)) == 0;
  }

 private:
  static double widen(T value) {
    if constexpr (std::is_same_v<T, double>)
      return value;
    else
      return float(value);
  }
  std::vector<T> data_;
  size_t count_;
};

std::vector<float> magnitudes(std::vector<float> values) {
  for (float& v : values) v = std::fabs(v);
  return values;
}

struct Operands {
  std::vector<float> x, x2, w, bias, dy;
  explicit Operands(const Conv2dDims& d)
      : x(random_values(size_t(d.n) * d.h * d.w * d.c1, 1)),
        x2(random_values(size_t(d.n) * d.h * d.w * d.c2, 2)),
        w(random_values(size_t(d.k) * d.r * d.s * d.c(), 3)),
        bias(random_values(d.k, 4)),
        dy(random_values(size_t(d.n) * d.out_h() * d.out_w() * d.k, 5)) {}
  Operands absolute() const {
    Operands a = *this;
    for (auto* v : {&a.x, &a.x2, &a.w, &a.bias, &a.dy}) *v = magnitudes(*v);
    return a;
  }
};

/// The results of all three passes for activations of type T.
template <class T>
struct Results {
  Guarded<T> y, dx, dx2;
  Guarded<arithmetic_t<T>> dw, dbias;

  Results(CpuStream& stream, const Conv2dDims& d, const Operands& o, bool want_dx = true,
          bool want_dx2 = true)
      : y(o.dy.size()), dx(o.x.size()), dx2(o.x2.size()), dw(o.w.size()), dbias(o.bias.size()) {
    using A = arithmetic_t<T>;
    const DType t = dtype_of<T>::value;
    Guarded<T> x(o.x), x2(o.x2), dy(o.dy);
    Guarded<A> w(o.w), bias(o.bias);
    Workspace f(conv2d_workspace_bytes(stream, {}, d, t, kPasses[0])),
        b(conv2d_workspace_bytes(stream, {}, d, t, kPasses[1])),
        g(conv2d_workspace_bytes(stream, {}, d, t, kPasses[2]));
    conv2d_forward(stream, {}, d,
                   {.x = x.out(),
                    .x2 = x2.out(),
                    .w = w.out(),
                    .epilogue = {.bias = bias.out()},
                    .y = y.out(),
                    .workspace = f.out()});
    conv2d_backward_data(stream, {}, d,
                         {.dy = dy.out(),
                          .w = w.out(),
                          .dx = want_dx ? dx.out() : Out{nullptr, t},
                          .dx2 = want_dx2 ? dx2.out() : Out{nullptr, t},
                          .workspace = b.out()});
    conv2d_backward_weights(stream, {}, d,
                            {.dy = dy.out(),
                             .x = x.out(),
                             .x2 = x2.out(),
                             .dw = dw.out(),
                             .dbias = dbias.out(),
                             .workspace = g.out()});
    CHECK(f.guard_intact());
    CHECK(b.guard_intact());
    CHECK(g.guard_intact());
    CHECK(y.guards_intact());
    CHECK(dx.guards_intact());
    CHECK(dx2.guards_intact());
    CHECK(dw.guards_intact());
    CHECK(dbias.guards_intact());
  }
};

double largest(const std::vector<double>& values) {
  double most = 0;
  for (double v : values) most = std::max(most, std::fabs(v));
  return most;
}

/// Terms of random sign grow like sqrt(l), so the roundings of a sum come to about eps/2 * sum |terms|,
/// whatever its length (the worst case is length times that: Higham, Accuracy and Stability, 4.2); `factor`
/// covers the largest of many results and, for Winograd, its amplification. A narrow result adds its own
/// rounding.
void check_close(const char* what, std::vector<double> got, const std::vector<double>& want,
                 const std::vector<double>& sum_of_magnitudes, double factor, bool narrow) {
  const double eps = std::numeric_limits<float>::epsilon(), scale = largest(sum_of_magnitudes);
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double allowed = factor * eps * scale + (narrow ? std::ldexp(std::fabs(want[i]), -8) : 0);
    const double ratio = std::fabs(got[i] - want[i]) / allowed;
    worst = ratio <= worst ? worst : ratio;  // keeps NaN
    if (std::isnan(ratio)) worst = std::numeric_limits<double>::infinity();
  }
  CAPTURE(what);
  CHECK(worst <= 1);
}

bool is_winograd(const Conv2dDims& d, ConvPass pass) {
  return std::string(conv2d_algorithm({}, d, DType::f32, pass)).find("wino") != std::string::npos;
}

template <class T>
void check_against_reference(CpuStream& stream, const Conv2dDims& d) {
  CAPTURE(name_of(d));
  const Operands operands(d);
  Results<double> want(stream, d, operands), size(stream, d, operands.absolute());
  Results<T> got(stream, d, operands), again(stream, d, operands);
  const bool narrow = std::is_same_v<T, bf16>;
  const auto factor = [&](ConvPass pass) { return is_winograd(d, pass) ? 8.0 : 2.0; };
  check_close("y", got.y.values(), want.y.values(), size.y.values(), factor(kPasses[0]), narrow);
  check_close("dx", got.dx.values(), want.dx.values(), size.dx.values(), factor(kPasses[1]), narrow);
  check_close("dx2", got.dx2.values(), want.dx2.values(), size.dx2.values(), factor(kPasses[1]), narrow);
  check_close("dw", got.dw.values(), want.dw.values(), size.dw.values(), factor(kPasses[2]), false);
  check_close("dbias", got.dbias.values(), want.dbias.values(), size.dbias.values(), 2.0, false);
  CHECK(got.y.same_bits(again.y));
  CHECK(got.dx.same_bits(again.dx));
  CHECK(got.dx2.same_bits(again.dx2));
  CHECK(got.dw.same_bits(again.dw));
  CHECK(got.dbias.same_bits(again.dbias));
}

double dot(const std::vector<double>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST_CASE("f32 agrees with f64") {
  CpuStream stream(2);
  for (const Conv2dDims& d : cases()) check_against_reference<float>(stream, d);
}

TEST_CASE("bf16 agrees with f64") {
  CpuStream stream(2);
  for (const Conv2dDims& d : cases()) check_against_reference<bf16>(stream, d);
}

TEST_CASE("any number of threads, more than there is work too") {
  for (int threads : {1, 3, 7}) {
    CpuStream stream(threads);
    check_against_reference<float>(stream, padded({.n = 1, .h = 5, .w = 6, .c1 = 8, .k = 9, .r = 3, .s = 3}));
    check_against_reference<float>(
        stream, padded({.n = 2, .h = 8, .w = 8, .c1 = 16, .c2 = 16, .k = 24, .r = 3, .s = 3}));
    check_against_reference<float>(stream, {.n = 2, .h = 7, .w = 9, .c1 = 5, .k = 7});
  }
}

TEST_CASE("the reference moves an image by one tap") {
  CpuStream stream(1);
  const Conv2dDims d{
      .n = 1, .h = 3, .w = 4, .c1 = 1, .k = 1, .r = 3, .s = 2, .pad_top = 1, .pad_bottom = 1, .pad_right = 1};
  const std::vector<float> image = random_values(12, 9);
  for (int r = 0; r < 3; ++r) {
    for (int s = 0; s < 2; ++s) {
      std::vector<float> one_hot(6, 0.0f);
      one_hot[r * 2 + s] = 1;
      Guarded<double> x(image), w(one_hot), y(12);
      conv2d_forward(stream, {}, d, {.x = x.out(), .w = w.out(), .y = y.out()});
      for (int p = 0; p < 3; ++p) {
        for (int q = 0; q < 4; ++q) {
          const int h = p + r - 1, column = q + s;
          const bool inside = h >= 0 && h < 3 && column < 4;
          CHECK(y.data()[p * 4 + q] == (inside ? image[h * 4 + column] : 0.0f));
        }
      }
    }
  }
}

TEST_CASE("the three passes of the reference are one bilinear form") {
  CpuStream stream(2);
  for (const Conv2dDims& d : cases()) {
    CAPTURE(name_of(d));
    Operands o(d);
    std::fill(o.bias.begin(), o.bias.end(), 0.0f);
    Results<double> r(stream, d, o), size(stream, d, o.absolute());
    const double form = dot(r.y.values(), o.dy), scale = 1e-14 * dot(size.y.values(), magnitudes(o.dy));
    CHECK(std::fabs(form - dot(r.dx.values(), o.x) - dot(r.dx2.values(), o.x2)) <= scale);
    CHECK(std::fabs(form - dot(r.dw.values(), o.w)) <= scale);
    double dbias = 0, dy = 0;
    for (double v : r.dbias.values()) dbias += v;
    for (float v : o.dy) dy += v;
    CHECK(std::fabs(dbias - dy) <= 1e-14 * o.dy.size());
  }
}

TEST_CASE("an unwanted gradient is left alone and changes nothing else") {
  CpuStream stream(2);
  for (const Conv2dDims& d : cases()) {
    if (d.c2 == 0) continue;
    CAPTURE(name_of(d));
    const Operands o(d);
    Results<float> both(stream, d, o), first(stream, d, o, true, false), second(stream, d, o, false, true);
    Guarded<float> untouched(o.x.size()), untouched2(o.x2.size());
    CHECK(first.dx.same_bits(both.dx));
    CHECK(first.dx2.same_bits(untouched2));
    CHECK(second.dx2.same_bits(both.dx2));
    CHECK(second.dx.same_bits(untouched));
  }
}

TEST_CASE("bias and its gradient may be absent") {
  CpuStream stream(2);
  for (const Conv2dDims& d : cases()) {
    CAPTURE(name_of(d));
    Operands o(d);
    std::fill(o.bias.begin(), o.bias.end(), 0.0f);
    Results<float> with_zero(stream, d, o);
    Guarded<float> x(o.x), x2(o.x2), w(o.w), dy(o.dy), y(o.dy.size()), dw(o.w.size());
    Workspace f(conv2d_workspace_bytes(stream, {}, d, DType::f32, kPasses[0]));
    Workspace g(conv2d_workspace_bytes(stream, {}, d, DType::f32, kPasses[2]));
    conv2d_forward(stream, {}, d,
                   {.x = x.out(), .x2 = x2.out(), .w = w.out(), .y = y.out(), .workspace = f.out()});
    conv2d_backward_weights(
        stream, {}, d, {.dy = dy.out(), .x = x.out(), .x2 = x2.out(), .dw = dw.out(), .workspace = g.out()});
    CHECK(y.values() == with_zero.y.values());
    CHECK(dw.values() == with_zero.dw.values());
  }
}

TEST_CASE("an image's result does not depend on its batch") {
  CpuStream stream(2);
  for (const Conv2dDims& d : cases()) {
    if (d.n == 1) continue;
    CAPTURE(name_of(d));
    const Operands all(d);
    Results<float> batch(stream, d, all);
    Conv2dDims one = d;
    one.n = 1;
    Operands last(one);
    last.x.assign(all.x.end() - last.x.size(), all.x.end());
    last.x2.assign(all.x2.end() - last.x2.size(), all.x2.end());
    last.dy.assign(all.dy.end() - last.dy.size(), all.dy.end());
    Results<float> alone(stream, one, last);
    const auto tail = [](std::vector<double> v, size_t n) {
      return std::vector<double>(v.end() - n, v.end());
    };
    CHECK(tail(batch.y.values(), last.dy.size()) == alone.y.values());
    CHECK(tail(batch.dx.values(), last.x.size()) == alone.dx.values());
    CHECK(tail(batch.dx2.values(), last.x2.size()) == alone.dx2.values());
  }
}

TEST_CASE("bad arguments are named") {
  CpuStream stream(1);
  Conv2dDims d = padded({.n = 1, .h = 4, .w = 4, .c1 = 3, .k = 2, .r = 3, .s = 3});
  Guarded<float> x(48), w(54), y(32);
  ConvForward o{.x = x.out(), .x2 = x.out(), .w = w.out(), .y = y.out()};
  CHECK_THROWS_WITH_AS(conv2d_forward(stream, {}, d, o), doctest::Contains("workspace"), Error);
  Workspace f(conv2d_workspace_bytes(stream, {}, d, DType::f32, kPasses[0]));
  o.workspace = f.out();
  CHECK_THROWS_WITH_AS(conv2d_forward(stream, {}, d, o), doctest::Contains("second source"), Error);
  o.x2 = {}, o.y.dtype = DType::bf16;
  CHECK_THROWS_WITH_AS(conv2d_forward(stream, {}, d, o), doctest::Contains("one dtype"), Error);
  d.r = 9;
  CHECK_THROWS_WITH_AS(conv2d_workspace_bytes(stream, {}, d, DType::f32, kPasses[0]),
                       doctest::Contains("larger"), Error);
  d.n = 0;
  CHECK_THROWS_WITH_AS(conv2d_workspace_bytes(stream, {}, d, DType::f32, kPasses[0]),
                       doctest::Contains("positive"), Error);
}
