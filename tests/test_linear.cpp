// The linear layer in f32 and bf16 against f64, and f64 against its formula.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/linear.h"
#include "tests/product_helpers.h"

namespace {

using namespace ito;
using namespace ito::kernels;
using tests::random_values, tests::Workspace;

constexpr LinearDims kShapes[] = {{1, 1, 1},     {3, 5, 7},   {16, 64, 256},
                                  {17, 129, 33}, {1, 300, 2}, {256, 96, 288}};

template <class T>
std::vector<T> convert(const std::vector<float>& values) {
  std::vector<T> all;
  for (float v : values) all.push_back(T(v));
  return all;
}

constexpr size_t kGuard = 16;

/// NaN between guard elements.
template <class T>
struct Result {
  std::vector<T> data;
  explicit Result(size_t count) : data(count + 2 * kGuard, T(std::numeric_limits<float>::quiet_NaN())) {
    for (size_t i = 0; i < kGuard; ++i) data[i] = data[kGuard + count + i] = T(77.0f);
  }
  Out out() { return {data.data() + kGuard, dtype_of<T>::value}; }
  size_t count() const { return data.size() - 2 * kGuard; }
  double at(size_t i) const { return arithmetic_t<T>(data[kGuard + i]); }
  bool intact() const {
    for (size_t i = 0; i < kGuard; ++i) {
      if (arithmetic_t<T>(data[i]) != 77 || arithmetic_t<T>(data[kGuard + count() + i]) != 77) return false;
    }
    return true;
  }
  bool same_bits(const Result& b) const {
    return memcmp(data.data(), b.data.data(), data.size() * sizeof(T)) == 0;
  }
};

template <class T>
In in(const std::vector<T>& v) {
  return {v.data(), dtype_of<T>::value};
}

struct Operands {
  std::vector<float> x, w, bias, dy;
  explicit Operands(LinearDims s)
      : x(random_values(size_t(s.m) * s.in, 1)),
        w(random_values(size_t(s.out) * s.in, 2)),
        bias(random_values(s.out, 3)),
        dy(random_values(size_t(s.m) * s.out, 4)) {}
};

template <class T>
struct Results {
  using A = arithmetic_t<T>;
  Result<T> y, dx;
  Result<A> dw, dbias;
  Results(CpuStream& stream, LinearDims s, const Operands& o)
      : y(o.dy.size()), dx(o.x.size()), dw(o.w.size()), dbias(o.bias.size()) {
    const auto x = convert<T>(o.x), dy = convert<T>(o.dy);
    const auto w = convert<A>(o.w), bias = convert<A>(o.bias);
    const auto workspace = [&](ConvPass pass) {
      return Workspace(linear_workspace_bytes(stream, {}, s, dtype_of<T>::value, pass));
    };
    Workspace f = workspace(ConvPass::forward), b = workspace(ConvPass::backward_data),
              g = workspace(ConvPass::backward_weights);
    linear_forward(stream, {}, s,
                   {.x = in(x), .w = in(w), .bias = in(bias), .y = y.out(), .workspace = f.out()});
    linear_backward_data(stream, {}, s, {.dy = in(dy), .w = in(w), .dx = dx.out(), .workspace = b.out()});
    linear_backward_weights(
        stream, {}, s,
        {.dy = in(dy), .x = in(x), .dw = dw.out(), .dbias = dbias.out(), .workspace = g.out()});
    CHECK(f.guard_intact());
    CHECK(b.guard_intact());
    CHECK(g.guard_intact());
    CHECK(y.intact());
    CHECK(dx.intact());
    CHECK(dw.intact());
    CHECK(dbias.intact());
  }
};

/// Operands lie in [-1, 1]: a sum of `terms` products of random sign is about sqrt(terms) / 3, and its
/// roundings come to eps/2 of `terms` / 4 magnitudes at most; a bf16 result adds half of its last place,
/// 2^-9.
template <class T>
void check_close(const Result<T>& got, const Result<double>& want, int terms) {
  const double eps = std::numeric_limits<float>::epsilon();
  const double rounding = std::is_same_v<T, bf16> ? std::ldexp(1.0, -8) : 0;
  int wrong = 0;
  for (size_t i = 0; i < got.count(); ++i) {
    const double allowed = eps * (terms + 1) + rounding * std::fabs(want.at(i));
    wrong += !(std::fabs(got.at(i) - want.at(i)) <= allowed);
  }
  CHECK(wrong == 0);
}

template <class T>
void check_against_f64(CpuStream& stream, LinearDims s) {
  CAPTURE(cat(s.m, " x ", s.in, " x ", s.out));
  const Operands o(s);
  const Results<double> want(stream, s, o);
  const Results<T> got(stream, s, o), again(stream, s, o);
  check_close(got.y, want.y, s.in);
  check_close(got.dx, want.dx, s.out);
  check_close(got.dw, want.dw, s.m);
  check_close(got.dbias, want.dbias, s.m);
  CHECK(got.y.same_bits(again.y));
  CHECK(got.dx.same_bits(again.dx));
  CHECK(got.dw.same_bits(again.dw));
  CHECK(got.dbias.same_bits(again.dbias));
}

}  // namespace

TEST_CASE("f64 is the formula") {
  CpuStream stream(2);
  for (LinearDims s : kShapes) {
    const Operands o(s);
    const Results<double> got(stream, s, o);
    double worst = 0;
    for (int m = 0; m < s.m; ++m) {
      for (int k = 0; k < s.out; ++k) {
        double y = o.bias[k];
        for (int i = 0; i < s.in; ++i) y += double(o.x[m * s.in + i]) * o.w[k * s.in + i];
        worst = std::max(worst, std::fabs(y - got.y.at(size_t(m) * s.out + k)));
      }
      for (int i = 0; i < s.in; ++i) {
        double dx = 0;
        for (int k = 0; k < s.out; ++k) dx += double(o.dy[m * s.out + k]) * o.w[k * s.in + i];
        worst = std::max(worst, std::fabs(dx - got.dx.at(size_t(m) * s.in + i)));
      }
    }
    for (int k = 0; k < s.out; ++k) {
      double dbias = 0;
      for (int m = 0; m < s.m; ++m) dbias += o.dy[m * s.out + k];
      worst = std::max(worst, std::fabs(dbias - got.dbias.at(k)));
      for (int i = 0; i < s.in; ++i) {
        double dw = 0;
        for (int m = 0; m < s.m; ++m) dw += double(o.dy[m * s.out + k]) * o.x[m * s.in + i];
        worst = std::max(worst, std::fabs(dw - got.dw.at(size_t(k) * s.in + i)));
      }
    }
    CHECK(worst <= 1e-15 * (s.m + s.in + s.out));
  }
}

TEST_CASE("f32 and bf16 agree with f64") {
  for (int threads : {1, 2}) {
    CpuStream stream(threads);
    for (LinearDims s : kShapes) {
      check_against_f64<float>(stream, s);
      check_against_f64<bf16>(stream, s);
    }
  }
}

TEST_CASE("bias and its gradient may be absent") {
  CpuStream stream(1);
  const LinearDims s{3, 5, 7};
  Operands o(s);
  std::fill(o.bias.begin(), o.bias.end(), 0.0f);
  const Results<float> with_zero(stream, s, o);
  Result<float> y(o.dy.size()), dw(o.w.size());
  Workspace f(linear_workspace_bytes(stream, {}, s, DType::f32, ConvPass::forward)),
      g(linear_workspace_bytes(stream, {}, s, DType::f32, ConvPass::backward_weights));
  linear_forward(stream, {}, s, {.x = in(o.x), .w = in(o.w), .y = y.out(), .workspace = f.out()});
  linear_backward_weights(stream, {}, s,
                          {.dy = in(o.dy), .x = in(o.x), .dw = dw.out(), .workspace = g.out()});
  CHECK(y.same_bits(with_zero.y));
  CHECK(dw.same_bits(with_zero.dw));
}

TEST_CASE("bad sizes are named") {
  CpuStream stream(1);
  const LinearForward nothing{.x = {}, .w = {}, .y = {}};
  CHECK_THROWS_WITH_AS(linear_forward(stream, {}, {0, 1, 1}, nothing), doctest::Contains("M = 0"), Error);
}
