#include <algorithm>

#include "kernel_arrays.h"
#include "kernels/copy_channels.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/pointwise.h"
#include "kernels/resample.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

double act(Activation a, double v) {
  return a == Activation::silu ? v / (1 + std::exp(-v)) : a == Activation::relu ? std::max(v, 0.0) : v;
}

double slope(Activation a, double v) {
  const double s = 1 / (1 + std::exp(-v));
  return a == Activation::silu ? s * (1 + v * (1 - s)) : a == Activation::relu ? (v > 0 ? 1.0 : 0.0) : 1.0;
}

/// f of each element of one or two arrays.
template <class F, class... Arrays>
std::vector<double> map(F f, const Arrays&... arrays) {
  std::vector<double> result;
  const size_t count = std::min({arrays.size()...});
  for (size_t i = 0; i < count; ++i) result.push_back(f(arrays[i]...));
  return result;
}

constexpr int kOdd = 2 * 16384 + 77;  // three pieces, the last one odd

}  // namespace

TEST_CASE_TEMPLATE("activation and its slope", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  CpuStream stream(2);
  std::vector<double> numbers = normals(kOdd, 1, 0, 4);
  numbers[0] = 0, numbers[1] = -80, numbers[2] = 80, numbers[3] = 300, numbers[4] = -300;
  numbers[5] = -3e38, numbers[6] = 3e38, numbers[7] = -90, numbers[8] = -1000;
  const Array<T> x(numbers), dy(normals(kOdd, 2));
  for (const Activation a : {Activation::none, Activation::silu, Activation::relu}) {
    Array<T> y(kOdd), dx(kOdd), again(kOdd);
    activation_forward(stream, kOdd, a, x.in(), y.out());
    activation_backward(stream, kOdd, a, dy.in(), x.in(), dx.out());
    activation_forward(stream, kOdd, a, x.in(), again.out());
    // e^-v, a sum, a division: 4 roundings; the slope multiplies numbers up to |v|.
    check_close(y, map([&](double v) { return act(a, v); }, x), epsilon<T>() + 4 * epsilon<A>(), 1e-35);
    check_close(dx, map([&](double v, double g) { return g * slope(a, v); }, x, dy),
                2 * epsilon<T>() + 4 * epsilon<A>(), 32 * epsilon<A>());
    CHECK(again.same_bits(y));
    Array<T> in_place = x;
    activation_forward(stream, kOdd, a, in_place.in(), in_place.out());
    CHECK(in_place.same_bits(y));
  }
}

TEST_CASE_TEMPLATE("SiLU at the ends: its limits, and NaN", T, float, bf16, double) {
  CpuStream stream(1);
  const Array<T> x(std::vector<double>{-INFINITY, INFINITY, NAN}), ones(std::vector<double>{1, 1, 1});
  Array<T> y(3), dx(3);
  activation_forward(stream, 3, Activation::silu, x.in(), y.out());
  activation_backward(stream, 3, Activation::silu, ones.in(), x.in(), dx.out());
  CHECK(std::abs(y.values()[0]) < 1e-35);
  CHECK(y.values()[1] == INFINITY);
  CHECK(std::isnan(y.values()[2]));
  CHECK(std::abs(dx.values()[0]) < 1e-35);
  CHECK(dx.values()[1] == 1);
  CHECK(std::isnan(dx.values()[2]));
}

TEST_CASE("activation_backward is the slope of activation_forward") {
  CpuStream stream(1);
  const double h = 1e-6;
  const Array<double> x(normals(50, 3)), up(map([&](double v) { return v + h; }, x)),
      ones(std::vector<double>(50, 1.0));
  const Array<double> down(map([&](double v) { return v - h; }, x));
  Array<double> y_up(50), y_down(50), dx(50);
  activation_forward(stream, 50, Activation::silu, up.in(), y_up.out());
  activation_forward(stream, 50, Activation::silu, down.in(), y_down.out());
  activation_backward(stream, 50, Activation::silu, ones.in(), x.in(), dx.out());
  check_close(dx, map([&](double a, double b) { return (a - b) / (2 * h); }, y_up, y_down), 0, 1e-9);
}

TEST_CASE_TEMPLATE("add_scaled: sums, copies and casts", T, float, bf16, double) {
  CpuStream stream(2);
  const Array<T> a(normals(kOdd, 1)), b(normals(kOdd, 2));
  const auto check = [&](auto u) {
    using U = decltype(u);
    Array<U> y(kOdd), copy(kOdd);
    add_scaled(stream, kOdd, 0.75, a.in(), -2, b.in(), y.out());
    // 0.75 a and 2 b are rounded to f32 before they are added, where they may cancel.
    const double wide = std::max(epsilon<arithmetic_t<T>>(), epsilon<arithmetic_t<U>>());
    check_close(y, map([](double p, double q) { return 0.75 * p - 2 * q; }, a, b), epsilon<U>() * 1.01,
                16 * wide);
    add_scaled(stream, kOdd, 1, a.in(), 0, {}, copy.out());
    check_close(copy, a.values(), epsilon<U>() < epsilon<T>() ? 0 : epsilon<U>(), 0);
  };
  check(float{}), check(bf16{}), check(double{});
  Array<T> in_place = a, apart(kOdd);
  add_scaled(stream, kOdd, 0.5, in_place.in(), 1, b.in(), in_place.out());
  add_scaled(stream, kOdd, 0.5, a.in(), 1, b.in(), apart.out());
  CHECK(in_place.same_bits(apart));
}

TEST_CASE_TEMPLATE("add_channels and its gradient", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  for (const auto& [n, hw, c] : {std::tuple{1, 300, 5}, {3, 1, 33}, {2, 1000, 32}}) {
    const Array<T> x(normals(size_t(n) * hw * c, 1)), bias(normals(size_t(n) * c, 2));
    Array<T> y(x.size()), dbias(bias.size()), other(bias.size());
    CpuStream one(1), two(2);
    add_channels_forward(two, n, hw, c, x.in(), bias.in(), y.out());
    add_channels_backward(two, n, hw, c, x.in(), dbias.out());
    add_channels_backward(one, n, hw, c, x.in(), other.out());
    std::vector<double> expected(x.size());
    std::vector<long double> sums(bias.size(), 0);  // the kernel sums in f64 too
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t channel = i / (size_t(hw) * c) * c + i % c;
      expected[i] = x[i] + bias[channel], sums[channel] += x[i];
    }
    check_close(y, expected, epsilon<T>(), 4 * epsilon<A>());
    check_close(dbias, {sums.begin(), sums.end()}, epsilon<T>(), 16 * std::sqrt(double(hw)) * epsilon<A>());
    CHECK(other.same_bits(dbias));
  }
}

TEST_CASE_TEMPLATE("scale_samples", T, float, bf16, double) {
  const Array<T> x(normals(3 * 20011, 1));
  const Array<arithmetic_t<T>> scale(std::vector<double>{0.5, -3, 0});
  Array<T> y(x.size());
  CpuStream stream(2);
  scale_samples(stream, 3, 20011, x.in(), scale.in(), y.out());
  std::vector<double> expected(x.size());
  for (size_t i = 0; i < x.size(); ++i) expected[i] = x[i] * scale[i / 20011];
  check_close(y, expected, epsilon<T>(), 0);
}

TEST_CASE_TEMPLATE("nearest_up, box_down, and that each is the other's transpose", T, float, bf16, double) {
  CpuStream stream(2);
  for (const auto& [n, h, w, c] : {std::tuple{1, 1, 1, 1}, {2, 3, 5, 3}, {1, 4, 2, 35}}) {
    const Array<T> small(normals(size_t(n) * h * w * c, 1)), large(normals(4 * small.size(), 2));
    Array<T> up(large.size()), down(small.size());
    nearest_up(stream, n, h, w, c, 1, small.in(), up.out());
    box_down(stream, n, h, w, c, 0.25f, large.in(), down.out());
    std::vector<double> expected_up(large.size()), expected_down(small.size(), 0.0);
    double up_product = 0, down_product = 0;
    for (size_t i = 0; i < large.size(); ++i) {
      const size_t j = i % c, q = i / c % (2 * w), p = i / c / (2 * w) % (2 * h),
                   image = i / c / (2 * w) / (2 * h);
      const size_t source = ((image * h + p / 2) * w + q / 2) * c + j;
      expected_up[i] = small[source], expected_down[source] += 0.25 * large[i];
      up_product += large[i] * up[i];
    }
    for (size_t i = 0; i < small.size(); ++i) down_product += 4 * down[i] * small[i];
    check_close(up, expected_up, 0, 0);
    check_close(down, expected_down, epsilon<T>(), 4 * epsilon<arithmetic_t<T>>());
    CHECK(up_product == doctest::Approx(down_product).epsilon(4 * epsilon<T>()).scale(double(large.size())));
  }
}

TEST_CASE_TEMPLATE("copy_channels copies its channels and no others", T, float, bf16, double) {
  CpuStream stream(2);
  for (const auto& [hw, count, cx, x_first, cy, y_first] :
       {std::tuple{1, 1, 1, 0, 1, 0}, {35, 3, 7, 4, 5, 1}, {9001, 5, 5, 0, 6, 1}}) {
    const Array<T> x(normals(size_t(2) * hw * cx, 1)), before(normals(size_t(2) * hw * cy, 2));
    Array<T> y = before;
    copy_channels(stream, 2, hw, count, {cx, x_first}, x.in(), {cy, y_first}, y.out());
    std::vector<double> expected = before.values();
    for (size_t i = 0; i < expected.size(); ++i) {
      const int channel = int(i) % cy - y_first;
      if (channel >= 0 && channel < count) expected[i] = x[i / cy * cx + x_first + channel];
    }
    check_close(y, expected, 0, 0);
  }
  Array<T> one(1);
  CHECK_THROWS_WITH_AS(copy_channels(stream, 1, 1, 2, {3, 2}, one.in(), {2, 0}, one.out()),
                       "copy_channels: 2 channels from 2 on do not fit an image of 3", Error);
}

TEST_CASE_TEMPLATE("dropout keeps a share, scales it, and draws the same mask for the gradient", T, float,
                   bf16, double) {
  CpuStream stream(2);
  const int n = 3, per_sample = 50001;
  const uint32_t step = 17;
  const float p = 0.3f;
  const DropoutKey key{99, 5, 100, &step};
  const Array<T> ones(std::vector<double>(size_t(n) * per_sample, 1.0)), dy(normals(ones.size(), 1));
  Array<T> y(ones.size()), dx(ones.size());
  dropout(stream, n, per_sample, p, key, ones.in(), y.out());
  dropout(stream, n, per_sample, p, key, dy.in(), dx.out());
  double mean = 0;
  size_t different = 0;
  const double scale = 1 / (1 - double(p));
  for (size_t i = 0; i < ones.size(); ++i) {
    mean += y[i] / double(ones.size());
    if (y[i] != 0 && std::abs(y[i] - scale) > 2 * epsilon<T>() * scale) ++different;
    if ((y[i] == 0) != (dx[i] == 0 && dy[i] != 0)) ++different;
    const uint32_t element = uint32_t(i % per_sample), sample = uint32_t(100 + i / per_sample);
    const Philox4 bits = random_block({99, Purpose::dropout, step, sample | 5u << 20}, element / 4);
    if ((uniform_open(bits.v[element % 4]) >= p) != (y[i] != 0)) ++different;
  }
  CHECK(different == 0);
  CHECK(std::abs(mean - 1) < 4 * std::sqrt(0.3 / 0.7 / double(ones.size())) + epsilon<T>());
  CHECK(y.guards_intact());
  Array<T> none(ones.size());
  dropout(stream, n, per_sample, 0, key, dy.in(), none.out());
  CHECK(none.same_bits(dy));
}

TEST_CASE("dropout's masks differ by layer, step and seed, and a sample's does not depend on the batch") {
  CpuStream stream(2);
  const int count = 4096;
  const uint32_t step = 1, next = 2;
  const Array<float> ones(std::vector<double>(2 * count, 1.0));
  const auto mask = [&](const DropoutKey& key, int n) {
    Array<float> y(size_t(n) * count);
    dropout(stream, n, count, 0.5f, key, ones.in(), y.out());
    return y;
  };
  const Array<float> base = mask({1, 0, 0, &step}, 2), second = mask({1, 0, 1, &step}, 1);
  CHECK(std::memcmp(base.data() + count, second.data(), count * 4) == 0);
  const auto shared = [&](const Array<float>& other) {
    int same = 0;
    for (int i = 0; i < count; ++i) same += (other[i] != 0) == (base[i] != 0);
    return same;
  };
  for (const DropoutKey& key :
       {DropoutKey{2, 0, 0, &step}, {1, 1, 0, &step}, {1, 0, 0, &next}, {1, 0, 1, &step}}) {
    CHECK(std::abs(shared(mask(key, 1)) - count / 2) < 4 * 32);  // four standard deviations of a fair coin
  }
  CHECK_THROWS_AS(mask({1, 4096, 0, &step}, 1), Error);
  CHECK_THROWS_AS(dropout(stream, 1, count, 1.0f, {1, 0, 0, &step}, ones.in(), Array<float>(count).out()),
                  Error);
}

TEST_CASE_TEMPLATE("Fourier features and sinusoidal embedding", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  const int n = 3, half = 17;
  CpuStream stream(2);
  const Array<A> c(std::vector<double>{-1.5, 0, 0.7}), w(normals(half, 1, 0, 16)),
      t(std::vector<double>{0, 1, 999});
  for (const bool two_pi : {true, false}) {
    Array<T> y(size_t(n) * 2 * half);
    gaussian_fourier(stream, n, half, two_pi, c.in(), w.in(), y.out());
    std::vector<double> expected;
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < 2 * half; ++k) {
        const long double angle = (two_pi ? 2 * 3.14159265358979323846264L : 1.0L) * w[k % half] * c[i];
        expected.push_back(double(k < half ? std::sin(angle) : std::cos(angle)));
      }
    }
    check_close(y, expected, epsilon<T>(), epsilon<A>() + 1e-13);
  }
  for (const SinusoidalOptions& o : {SinusoidalOptions{}, {false, 1, 10000}, {true, 0, 100}}) {
    Array<T> y(size_t(n) * 2 * half);
    sinusoidal(stream, n, half, o, t.in(), y.out());
    std::vector<double> expected;
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < 2 * half; ++k) {
        const double angle =
            t[i] * std::pow(double(o.max_period), -(k % half) / (half - double(o.freq_shift)));
        expected.push_back((k < half) == o.flip_sin_to_cos ? std::cos(angle) : std::sin(angle));
      }
    }
    check_close(y, expected, epsilon<T>(), epsilon<A>() + 1e-12);
  }
}

TEST_CASE("maps over nothing are errors") {
  CpuStream stream(1);
  Array<float> x(4), y(4);
  CHECK_THROWS_AS(activation_forward(stream, 0, Activation::relu, x.in(), y.out()), Error);
  CHECK_THROWS_AS(activation_backward(stream, -1, Activation::relu, x.in(), x.in(), y.out()), Error);
  CHECK_THROWS_AS(add_scaled(stream, 0, 1, x.in(), 0, {}, y.out()), Error);
  CHECK_THROWS_AS(fill(stream, 0, 1, y.out()), Error);
  CHECK_THROWS_AS(add_channels_forward(stream, 0, 2, 2, x.in(), x.in(), y.out()), Error);
  CHECK_THROWS_AS(add_channels_backward(stream, 2, 0, 2, x.in(), y.out()), Error);
  CHECK_THROWS_AS(scale_samples(stream, 2, 0, x.in(), x.in(), y.out()), Error);
}
