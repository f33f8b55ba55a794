#pragma once

#include <doctest/doctest.h>

#include <cmath>

#include "tests/product_helpers.h"
#include "tests/simt/device_array.h"

/// Convolutions on the emulated device, and the CPU's reference in f64.
namespace simt {

using namespace ito;
using namespace ito::kernels;
using ito::tests::name_of, ito::tests::padded, ito::tests::random_values;

/// What a convolution is given; empty where it is absent.
struct Operands {
  std::vector<float> x, x2, w, dy, bias, shift, residual;

  explicit Operands(const Conv2dDims& d, bool epilogue = true)
      : x(random_values(size_t(d.n) * d.h * d.w * d.c1, 1)),
        x2(random_values(size_t(d.n) * d.h * d.w * d.c2, 2)),
        w(random_values(size_t(d.k) * d.r * d.s * d.c(), 3)),
        dy(random_values(size_t(d.n) * d.out_h() * d.out_w() * d.k, 4)) {
    if (!epilogue) return;
    bias = random_values(d.k, 5);
    shift = random_values(size_t(d.n) * d.k, 6);
    residual = random_values(dy.size(), 7);
  }
  /// The operands of the sums of magnitudes, by which rounding is measured.
  Operands magnitudes() const {
    Operands result = *this;
    for (auto* values :
         {&result.x, &result.x2, &result.w, &result.dy, &result.bias, &result.shift, &result.residual})
      for (float& v : *values) v = std::fabs(v);
    return result;
  }
};

template <class To, class From>
std::vector<To> converted(const std::vector<From>& values) {
  std::vector<To> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if constexpr (std::is_same_v<To, bf16>)
      result[i] = bf16(float(values[i]));
    else if constexpr (std::is_same_v<From, bf16>)
      result[i] = To(float(values[i]));
    else
      result[i] = To(values[i]);
  }
  return result;
}

template <class T>
struct Results {
  std::vector<T> y, dx, dx2;
  std::vector<arithmetic_t<T>> dw, dbias;
};

template <class T>
bool same(const Results<T>& a, const Results<T>& b) {
  return same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.dx2, b.dx2) && same_bits(a.dw, b.dw) &&
         same_bits(a.dbias, b.dbias);
}

/// All three passes in f64 on the CPU.
inline Results<double> reference(const Conv2dDims& d, const Operands& o) {
  CpuStream stream;
  const auto x = converted<double>(o.x), x2 = converted<double>(o.x2), w = converted<double>(o.w),
             dy = converted<double>(o.dy), bias = converted<double>(o.bias),
             shift = converted<double>(o.shift), residual = converted<double>(o.residual);
  const auto in = [](const std::vector<double>& v) { return In{v.empty() ? nullptr : v.data(), DType::f64}; };
  const auto out = [](std::vector<double>& v) { return Out{v.empty() ? nullptr : v.data(), DType::f64}; };
  Results<double> r{std::vector<double>(dy.size()), std::vector<double>(x.size()),
                    std::vector<double>(x2.size()), std::vector<double>(w.size()),
                    std::vector<double>(size_t(d.k))};
  conv2d_forward(stream, {}, d,
                 {.x = in(x),
                  .x2 = in(x2),
                  .w = in(w),
                  .epilogue = {.bias = in(bias), .shift = in(shift), .residual = in(residual)},
                  .y = out(r.y)});
  conv2d_backward_data(stream, {}, d, {.dy = in(dy), .w = in(w), .dx = out(r.dx), .dx2 = out(r.dx2)});
  conv2d_backward_weights(stream, {}, d,
                          {.dy = in(dy), .x = in(x), .x2 = in(x2), .dw = out(r.dw), .dbias = out(r.dbias)});
  return r;
}

/// What a run asks for besides the operands.
struct Wish {
  Schedule schedule{};
  size_t offset = 0;  // elements off the alignment of 16 bytes
  bool dx = true, dx2 = true, dbias = true;
};

/// All three passes on the device; W is the type of the filters' values.
template <class T, class W = float>
Results<T> run(const Conv2dDims& d, const Operands& o, const Wish& wish = {}) {
  machine().set_schedule(wish.schedule);
  CudaStream stream;
  ConvPolicy policy;
  const auto device = [&](const auto& values) {
    return DeviceArray<std::decay_t<decltype(values[0])>>(stream, values, wish.offset);
  };
  auto x = device(converted<T>(o.x)), x2 = device(converted<T>(o.x2)), dy = device(converted<T>(o.dy));
  auto w = device(converted<W>(o.w));
  auto bias = device(o.bias);
  auto shift = device(converted<T>(o.shift)), residual = device(converted<T>(o.residual));
  DeviceArray<T> y(stream, o.dy.size(), wish.offset), dx(stream, wish.dx ? o.x.size() : 0, wish.offset),
      dx2(stream, wish.dx2 ? o.x2.size() : 0, wish.offset);
  DeviceArray<float> dw(stream, o.w.size(), wish.offset), dbias(stream, wish.dbias ? size_t(d.k) : 0);
  const auto pass = [&](ConvPass p, const auto& call) {
    const KeepAligned here;
    DeviceArray<float> workspace(stream,
                                 conv2d_workspace_bytes(stream, policy, d, dtype_of<T>::value, p) / 4);
    call(workspace.out());
    workspace.read();
  };
  pass(ConvPass::forward, [&](Out workspace) {
    conv2d_forward(stream, policy, d,
                   {.x = x.in(),
                    .x2 = x2.in(),
                    .w = w.in(),
                    .epilogue = {.bias = bias.in(), .shift = shift.in(), .residual = residual.in()},
                    .y = y.out(),
                    .workspace = workspace});
  });
  pass(ConvPass::backward_data, [&](Out workspace) {
    conv2d_backward_data(
        stream, policy, d,
        {.dy = dy.in(), .w = w.in(), .dx = dx.out(), .dx2 = dx2.out(), .workspace = workspace});
  });
  pass(ConvPass::backward_weights, [&](Out workspace) {
    conv2d_backward_weights(stream, policy, d,
                            {.dy = dy.in(),
                             .x = x.in(),
                             .x2 = x2.in(),
                             .dw = dw.out(),
                             .dbias = dbias.out(),
                             .workspace = workspace});
  });
  return {y.read(), dx.read(), dx2.read(), dw.read(), dbias.read()};
}

/// The number of values farther from the reference than rounding explains: errors of a sum of `length` terms
/// grow like a random walk, and T's own rounding comes at the end. Values that were not asked for are absent.
template <class T>
int wrong(const std::vector<T>& got, const std::vector<double>& right, const std::vector<double>& magnitude,
          double length) {
  const double sum_error = (8 + 3 * std::sqrt(length)) / (1 << 24);
  const double rounding = sizeof(T) == 2 ? 1.01 / 256 : 0;
  int count = 0;
  for (size_t i = 0; i < got.size(); ++i)
    count += !(std::fabs(double(float(got[i])) - right[i]) <=
               sum_error * magnitude[i] + rounding * std::fabs(right[i]));
  return count;
}

template <class T>
void check_against_reference(const Conv2dDims& d, const Operands& o, const Results<T>& got) {
  const Results<double> right = reference(d, o), magnitude = reference(d, o.magnitudes());
  const double taps = double(d.r) * d.s, pixels = double(d.n) * d.out_h() * d.out_w();
  CHECK(wrong(got.y, right.y, magnitude.y, taps * d.c() + 3) == 0);
  CHECK(wrong(got.dx, right.dx, magnitude.dx, taps * d.k) == 0);
  CHECK(wrong(got.dx2, right.dx2, magnitude.dx2, taps * d.k) == 0);
  CHECK(wrong(got.dw, right.dw, magnitude.dw, pixels) == 0);
  CHECK(wrong(got.dbias, right.dbias, magnitude.dbias, pixels) == 0);
}

/// Of a run with a NaN in one pixel of x and of dy: results that see it and are numbers, or do not and have changed.
template <class T, class W>
int count_wrong_around_nan(int channels) {
  const Conv2dDims d = padded({.n = 1, .h = 6, .w = 5, .c1 = channels, .k = 8, .r = 3, .s = 3});
  Operands o(d, false);
  const auto right = run<T, W>(d, o);
  const int y = 2, x = 1;
  for (int c = 0; c < channels; ++c) o.x[size_t((y * d.w + x) * channels + c)] = NAN;
  for (int k = 0; k < d.k; ++k) o.dy[size_t((y * d.w + x) * d.k + k)] = NAN;
  const auto got = run<T, W>(d, o);
  int wrong = 0;
  for (int i = 0; i < d.h * d.w; ++i) {
    const bool sees = std::abs(i / d.w - y) <= 1 && std::abs(i % d.w - x) <= 1;
    const auto count = [&](const std::vector<T>& a, const std::vector<T>& b, int width) {
      for (size_t at = size_t(i * width); at < size_t((i + 1) * width); ++at)
        wrong += sees ? !std::isnan(float(a[at])) : float(a[at]) != float(b[at]);
    };
    count(got.y, right.y, d.k), count(got.dx, right.dx, channels);
  }
  return wrong;
}

/// The first `images` of a batch.
inline Operands first_images(const Conv2dDims& d, const Operands& o, int images) {
  Operands result = o;
  for (auto* values : {&result.x, &result.x2, &result.dy, &result.shift, &result.residual})
    values->resize(values->size() / size_t(d.n) * size_t(images));
  return result;
}

template <class T>
bool begins_with(const std::vector<T>& all, const std::vector<T>& start) {
  return same_bits(std::vector<T>(all.begin(), all.begin() + ptrdiff_t(start.size())), start);
}

}  // namespace simt
