#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "kernels/pointwise.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::F64Array;
using simt::normals;
using simt::rounding;
using simt::under_all_schedules;

namespace {

const std::string kNoF64 = ": f64 exists on the CPU only; on CUDA use f32 or bf16";

/// Ragged ends, one element, whole blocks; each with operands on and off the alignment of 16 bytes.
struct Length {
  size_t count, offset;
};
const Length kLengths[] = {{1, 0}, {1000, 1}, {2048, 0}, {4099, 0}};

/// Made when it is first used: starting threads before main does not suit compute-sanitizer.
CpuStream& cpu() {
  static CpuStream stream(1);
  return stream;
}

template <class T>
void check_activation(Activation kind, const Length& l) {
  CudaStream stream;
  std::vector<T> x = normals<T>(l.count, 1, 4);
  const float last = kind == Activation::silu ? -INFINITY : -1e38f;  // of others infinities stay
  const float ends[] = {0, -80, 80, -300, 300, -1000, -3e38f, 3e38f, last};
  if (l.count > std::size(ends))
    std::transform(std::begin(ends), std::end(ends), x.begin(), [](float v) { return T(v); });
  const std::vector<T> dy = normals<T>(l.count, 2);
  DeviceArray<T> from(stream, x, l.offset), gradient(stream, dy, l.offset);
  const auto y = under_all_schedules([&] {
    DeviceArray<T> to(stream, l.count, l.offset);
    activation_forward(stream, int64_t(l.count), kind, from.in(), to.out());
    return to.read();
  });
  const auto dx = under_all_schedules([&] {
    DeviceArray<T> to(stream, x, l.offset);  // in place
    activation_backward(stream, int64_t(l.count), kind, gradient.in(), to.in(), to.out());
    return to.read();
  });
  DeviceArray<T> elsewhere(stream, l.count, l.offset);
  activation_backward(stream, int64_t(l.count), kind, gradient.in(), from.in(), elsewhere.out());
  CHECK(simt::same_bits(elsewhere.read(), dx));
  F64Array x_f64(x), dy_f64(dy), y_f64(l.count), dx_f64(l.count);
  activation_forward(cpu(), int64_t(l.count), kind, x_f64.in(), y_f64.out());
  activation_backward(cpu(), int64_t(l.count), kind, dy_f64.in(), x_f64.in(), dx_f64.out());
  // e^-v, a sum, a division: 4 roundings; the slope multiplies numbers up to |v|.
  CHECK(count_wrong(y, y_f64.v, rounding<T>() + 4 * rounding<float>(), 1e-35) == 0);
  CHECK(count_wrong(dx, dx_f64.v, rounding<T>() + 5 * rounding<float>(), 32 * rounding<float>()) == 0);
}

template <class T, class U>
void check_add_scaled(const Length& l) {
  CudaStream stream;
  const std::vector<T> a = normals<T>(l.count, 1), b = normals<T>(l.count, 2);
  DeviceArray<T> first(stream, a, l.offset), second(stream, b, l.offset);
  const auto add = [&](double alpha, double beta, In other) {
    return under_all_schedules([&] {
      DeviceArray<U> sum(stream, l.count, l.offset);
      add_scaled(stream, int64_t(l.count), alpha, first.in(), beta, other, sum.out());
      return sum.read();
    });
  };
  std::vector<double> sums, casts;
  for (size_t i = 0; i < l.count; ++i) {
    sums.push_back(0.75 * simt::to_double(a[i]) - 2 * simt::to_double(b[i]));
    casts.push_back(simt::to_double(a[i]));
  }
  CHECK(count_wrong(add(0.75, -2, second.in()), sums, rounding<U>(), 16 * rounding<float>()) == 0);
  CHECK(count_wrong(add(1, 5, {}), casts, sizeof(U) < sizeof(T) ? rounding<U>() : 0) == 0);
}

template <class T>
void check_channels(int n, int hw, int c, size_t offset) {
  CAPTURE(n);
  CAPTURE(hw);
  CAPTURE(c);
  CudaStream stream;
  const std::vector<T> x = normals<T>(size_t(n) * hw * c, 1), b = normals<T>(size_t(n) * c, 2);
  DeviceArray<T> from(stream, x, offset), bias(stream, b, offset);
  const auto y = under_all_schedules([&] {
    DeviceArray<T> to(stream, x.size(), offset);
    add_channels_forward(stream, n, hw, c, from.in(), bias.in(), to.out());
    return to.read();
  });
  const auto db = under_all_schedules([&] {
    DeviceArray<T> to(stream, b.size(), offset);
    add_channels_backward(stream, n, hw, c, from.in(), to.out());
    return to.read();
  });
  F64Array x_f64(x), b_f64(b), y_f64(x.size()), db_f64(b.size());
  add_channels_forward(cpu(), n, hw, c, x_f64.in(), b_f64.in(), y_f64.out());
  add_channels_backward(cpu(), n, hw, c, x_f64.in(), db_f64.out());
  CHECK(count_wrong(y, y_f64.v, rounding<T>(), 4 * rounding<float>()) == 0);
  CHECK(count_wrong(db, db_f64.v, rounding<T>(), (8 + 4 * std::sqrt(hw)) * rounding<float>()) == 0);
  DeviceArray<T> one(stream, size_t(c), offset);  // the last image alone
  const T* const image = from.data() + size_t(n - 1) * hw * c;
  add_channels_backward(stream, 1, hw, c, {image, dtype_of<T>::value}, one.out());
  CHECK(simt::same_bits(one.read(), {db.end() - c, db.end()}));
}

template <class T>
void check_scale(int n, size_t per_sample, size_t offset) {
  CudaStream stream;
  const std::vector<T> x = normals<T>(size_t(n) * per_sample, 1);
  const std::vector<float> s = normals<float>(size_t(n), 2);
  DeviceArray<T> from(stream, x, offset);
  DeviceArray<float> scale(stream, s);
  const auto y = under_all_schedules([&] {
    DeviceArray<T> to(stream, x.size(), offset);
    scale_samples(stream, n, int64_t(per_sample), from.in(), scale.in(), to.out());
    return to.read();
  });
  F64Array x_f64(x), s_f64(s), expected(x.size());
  scale_samples(cpu(), n, int64_t(per_sample), x_f64.in(), s_f64.in(), expected.out());
  CHECK(count_wrong(y, expected.v, rounding<T>()) == 0);
}

}  // namespace

TEST_CASE_TEMPLATE("activations and their slopes", T, float, bf16) {
  for (const Activation kind : {Activation::none, Activation::silu, Activation::relu})
    for (const Length& l : kLengths) {
      CAPTURE(int(kind));
      CAPTURE(l.count);
      check_activation<T>(kind, l);
    }
}

TEST_CASE_TEMPLATE("add_scaled: sums, copies and casts", T, float, bf16) {
  for (const Length& l : kLengths) {
    CAPTURE(l.count);
    check_add_scaled<T, float>(l);
    check_add_scaled<T, bf16>(l);
  }
}

TEST_CASE_TEMPLATE("fill", T, float, bf16) {
  CudaStream stream;
  for (const Length& l : kLengths) {
    const auto y = under_all_schedules([&] {
      DeviceArray<T> to(stream, l.count, l.offset);
      fill(stream, int64_t(l.count), 0.3, to.out());
      return to.read();
    });
    CHECK(simt::same_bits(y, std::vector<T>(l.count, T(0.3f))));
  }
}

TEST_CASE_TEMPLATE("add_channels and its gradient", T, float, bf16) {
  check_channels<T>(1, 1, 1, 0);
  check_channels<T>(2, 9, 37, 0);   // channels that are no whole vectors, more than a block's columns
  check_channels<T>(3, 70, 48, 0);  // more pixels than rows, more vectors than columns
  check_channels<T>(2, 5, 16, 1);   // unaligned
  check_channels<T>(2, 4, 18, 0);   // an image is whole packs, a pixel is not
  check_channels<T>(1, 600, 8, 0);  // many pixels
}

TEST_CASE_TEMPLATE("pointwise kernels with any one operand off the alignment of 16 bytes", T, float, bf16) {
  const Length l{40, 0};
  simt::with_each_array_unaligned([&] { check_activation<T>(Activation::silu, l); });
  simt::with_each_array_unaligned([&] { check_add_scaled<T, float>(l), check_add_scaled<T, bf16>(l); });
  simt::with_each_array_unaligned([&] { check_channels<T>(2, 5, 16, 0); });
  simt::with_each_array_unaligned([&] { check_scale<T>(2, 16, 0); });
}

TEST_CASE_TEMPLATE("ReLU has the slope 0 at 0, of either sign", T, float, bf16) {
  CudaStream stream;
  DeviceArray<T> x(stream, std::vector<T>{T(0.0f), T(-0.0f), T(1.0f), T(-1.0f)});
  DeviceArray<T> dy(stream, std::vector<T>(4, T(1.0f))), dx(stream, 4);
  activation_backward(stream, 4, Activation::relu, dy.in(), x.in(), dx.out());
  CHECK(simt::same_bits(dx.read(), std::vector<T>{T(0.0f), T(0.0f), T(1.0f), T(0.0f)}));
}

TEST_CASE_TEMPLATE("scale_samples", T, float, bf16) {
  check_scale<T>(3, 1, 0);
  check_scale<T>(1, 2051, 0);  // one sample may be ragged
  check_scale<T>(3, 2051, 0);  // of several, the second would start off the alignment
  check_scale<T>(3, 2056, 0);
  check_scale<T>(2, 16, 1);
}

TEST_CASE("pointwise kernels refuse f64 and grids that no card has") {
  CudaStream stream;
  double value = 0;
  float single = 0;
  const Out x{&value, DType::f64}, y{&single, DType::f32};
  CHECK_THROWS_WITH(activation_forward(stream, 1, Activation::silu, x, x), ("activation" + kNoF64).c_str());
  CHECK_THROWS_WITH(activation_backward(stream, 1, Activation::silu, x, x, x),
                    ("activation" + kNoF64).c_str());
  CHECK_THROWS_WITH(add_scaled(stream, 1, 1, x, 1, {}, y), ("add_scaled" + kNoF64).c_str());
  CHECK_THROWS_WITH(add_scaled(stream, 1, 1, y, 1, {}, x), ("add_scaled" + kNoF64).c_str());
  CHECK_THROWS_WITH(fill(stream, 1, 1, x), ("fill" + kNoF64).c_str());
  CHECK_THROWS_WITH(add_channels_forward(stream, 1, 1, 1, x, x, x), ("add_channels" + kNoF64).c_str());
  CHECK_THROWS_WITH(add_channels_backward(stream, 1, 1, 1, x, x), ("add_channels" + kNoF64).c_str());
  CHECK_THROWS_WITH(scale_samples(stream, 1, 1, x, x, x), ("scale_samples" + kNoF64).c_str());
  CHECK_THROWS_WITH(scale_samples(stream, 70000, 1, y, y, y),
                    "scale_samples: 70000 samples; on CUDA 1 to 65535");
  const char* const nothing = "add_channels: 1 samples of 0 elements; both must be positive";
  CHECK_THROWS_WITH(add_channels_forward(stream, 1, 0, 4, y, y, y), nothing);
  CHECK_THROWS_WITH(add_channels_backward(stream, 1, 0, 4, y, y), nothing);
  CHECK_THROWS_WITH(fill(stream, int64_t(1) << 50, 1, y),
                    "fill: a sample of 1125899906842624 elements does not make a grid");
  CHECK_THROWS_WITH(add_channels_forward(stream, 1, 1 << 16, 1 << 16, y, y, y),
                    "add_channels: a sample of 4294967296 elements; on CUDA it may have 2^31 - 1");
}
