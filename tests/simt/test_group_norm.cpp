#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "kernels/base/philox.h"
#include "kernels/group_norm.h"
#include "tests/simt/device_array.h"

using namespace ito;
using namespace ito::kernels;
using simt::DeviceArray;

namespace {

constexpr double kRounding = 1.0 / (1 << 24);  // f32's

/// Half a unit in the last place of T, relative; a little more, since what is rounded has an error of its
/// own.
template <class T>
double rounding_of() {
  return sizeof(T) == 2 ? 1.01 / 256 : 1.01 * kRounding;
}

template <class T>
std::vector<T> random_values(size_t count, uint32_t sample, double mean, double deviation) {
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = T(float(mean + deviation * random_normal({3, Purpose::test, 1, sample}, uint32_t(i))));
  return values;
}

template <class T>
struct Input {
  GroupNormDims dims;
  std::vector<T> x, x2, dy;
  std::vector<float> gamma, beta;

  explicit Input(const GroupNormDims& d, double mean = 0.5) : dims(d) {
    const size_t pixels = size_t(d.n) * size_t(d.hw);
    x = random_values<T>(pixels * size_t(d.c1), 0, mean, 1);
    x2 = random_values<T>(pixels * size_t(d.c2), 1, mean - 1, 2);
    dy = random_values<T>(pixels * size_t(d.c()), 2, 0.1, 1);
    const size_t rows = d.affine_per_sample ? size_t(d.n) : 1;
    gamma = random_values<float>(rows * size_t(d.c()), 3, 1, 0.5);
    beta = random_values<float>(rows * size_t(d.c()), 4, 0, 0.5);
  }
  /// Where gamma, beta and their gradients are.
  size_t affine(int n, int c) const {
    return size_t(dims.affine_per_sample ? n : 0) * size_t(dims.c()) + size_t(c);
  }
  double at(int n, int pixel, int c) const {
    const size_t row = size_t(n) * size_t(dims.hw) + size_t(pixel);
    const T value =
        c < dims.c1 ? x[row * size_t(dims.c1) + size_t(c)] : x2[row * size_t(dims.c2) + size_t(c - dims.c1)];
    return float(value);
  }
  size_t whole(int n, int pixel, int c) const {
    return (size_t(n) * size_t(dims.hw) + size_t(pixel)) * size_t(dims.c()) + size_t(c);
  }
};

template <class T>
struct Output {
  std::vector<T> y, dx, dx2;
  std::vector<float> mean, rstd, dgamma, dbeta;
};

template <class T>
bool same(const Output<T>& a, const Output<T>& b) {
  using simt::same_bits;
  return same_bits(a.y, b.y) && same_bits(a.mean, b.mean) && same_bits(a.rstd, b.rstd) &&
         same_bits(a.dx, b.dx) && same_bits(a.dx2, b.dx2) && same_bits(a.dgamma, b.dgamma) &&
         same_bits(a.dbeta, b.dbeta);
}

/// Forward, then backward from the statistics that it left. offset: elements off the alignment of 16 bytes.
template <class T>
Output<T> run(const Input<T>& in, const simt::Schedule& schedule, size_t offset = 0) {
  simt::machine().set_schedule(schedule);
  const GroupNormDims& d = in.dims;
  CudaStream stream;
  DeviceArray<T> x(stream, in.x, offset), x2(stream, in.x2, offset), dy(stream, in.dy, offset);
  DeviceArray<T> y(stream, in.dy.size(), offset), dx(stream, in.x.size(), offset),
      dx2(stream, in.x2.size(), offset);
  DeviceArray<float> gamma(stream, in.gamma), beta(stream, in.beta);
  DeviceArray<float> dgamma(stream, in.gamma.size()), dbeta(stream, in.gamma.size());
  DeviceArray<float> mean(stream, size_t(d.n) * size_t(d.groups)),
      rstd(stream, size_t(d.n) * size_t(d.groups));
  DeviceArray<float> partial(stream, group_norm_partial_floats(d));
  const GroupNormInputs inputs{.x = x.in(), .x2 = x2.in(), .gamma = gamma.in(), .beta = beta.in()};
  group_norm_forward(stream, d, inputs, y.out(), mean.out(), rstd.out());
  group_norm_backward(stream, d, inputs, dy.in(), mean.in(), rstd.in(),
                      {.dx = dx.out(), .dx2 = dx2.out(), .dgamma = dgamma.out(), .dbeta = dbeta.out()},
                      partial.out());
  partial.read();
  return {y.read(), dx.read(), dx2.read(), mean.read(), rstd.read(), dgamma.read(), dbeta.read()};
}

double activate(Activation a, double v) {
  return a == Activation::silu ? v / (1 + std::exp(-v)) : a == Activation::relu ? std::max(v, 0.0) : v;
}
double slope(Activation a, double v) {
  const double s = 1 / (1 + std::exp(-v));
  return a == Activation::silu ? s * (1 + v * (1 - s)) : a == Activation::relu ? double(v > 0) : 1.0;
}

/// Rounding errors of a sum of `length` terms grow like a random walk; 8 for the operations around it.
double growth(double length) { return 8 + 3 * std::sqrt(length); }

/// The number of results farther from f64 than rounding explains.
template <class T>
int wrong_forward(const Input<T>& in, const Output<T>& out) {
  const GroupNormDims& d = in.dims;
  const int size = d.c() / d.groups;
  int wrong = 0;
  for (int n = 0; n < d.n; ++n)
    for (int group = 0; group < d.groups; ++group) {
      const double count = double(d.hw) * size;
      double mean = 0, variance = 0;
      for (int p = 0; p < d.hw; ++p)
        for (int c = group * size; c < (group + 1) * size; ++c) mean += in.at(n, p, c) / count;
      for (int p = 0; p < d.hw; ++p)
        for (int c = group * size; c < (group + 1) * size; ++c)
          variance += std::pow(in.at(n, p, c) - mean, 2) / count;
      const double rstd = 1 / std::sqrt(variance + d.eps);
      // Of the mean, absolute; of rstd, relative: Welford's sum of squares is conditioned like mean /
      // deviation.
      const double mean_error = growth(count) * kRounding * (std::abs(mean) + 1 / rstd);
      const double rstd_error = growth(count) * kRounding * std::hypot(1, mean * rstd);
      const size_t at = size_t(n) * size_t(d.groups) + size_t(group);
      wrong += !(std::abs(out.mean[at] - mean) <= mean_error);
      wrong += !(std::abs(out.rstd[at] - rstd) <= rstd_error * rstd);
      for (int p = 0; p < d.hw; ++p)
        for (int c = group * size; c < (group + 1) * size; ++c) {
          const double scale = in.gamma[in.affine(n, c)] * rstd, shift = in.beta[in.affine(n, c)];
          const double v = scale * (in.at(n, p, c) - mean) + shift, y = activate(d.activation, v);
          const double v_error = std::abs(scale) * mean_error + std::abs(v - shift) * rstd_error +
                                 8 * kRounding * (std::abs(v - shift) + std::abs(shift));
          // SiLU and ReLU stretch an error by at most 1.1; the sigmoid has a few units in the last place.
          const double error =
              1.1 * v_error + (8 + std::abs(v)) * kRounding * std::abs(y) + rounding_of<T>() * std::abs(y);
          wrong += !(std::abs(float(out.y[in.whole(n, p, c)]) - y) <= error);
        }
    }
  return wrong;
}

/// Against f64 from the mean and rstd that the kernel was given.
template <class T>
int wrong_backward(const Input<T>& in, const Output<T>& out) {
  const GroupNormDims& d = in.dims;
  const int size = d.c() / d.groups;
  const double images = growth(double(d.affine_per_sample ? 1 : d.n) * d.hw) * kRounding,
               group_error = growth(double(d.hw) * size) * kRounding;
  std::vector<double> dgamma(in.gamma.size()), dbeta(dgamma), dgamma_size(dgamma), dbeta_size(dgamma);
  // g with its size: |g| and everything that is rounded on the way to it.
  struct Value {
    double xh, g, size;
  };
  int wrong = 0;
  for (int n = 0; n < d.n; ++n)
    for (int group = 0; group < d.groups; ++group) {
      const size_t stat = size_t(n) * size_t(d.groups) + size_t(group);
      const double mean = out.mean[stat], rstd = out.rstd[stat], count = double(d.hw) * size;
      const auto evaluate = [&](int p, int c) {
        const double gamma = in.gamma[in.affine(n, c)], beta = in.beta[in.affine(n, c)],
                     dy = float(in.dy[in.whole(n, p, c)]);
        const double xh = (in.at(n, p, c) - mean) * rstd;
        return Value{xh, dy * slope(d.activation, gamma * xh + beta),
                     std::abs(dy) * (1 + std::abs(gamma * xh) + std::abs(beta))};
      };
      double h = 0, hxh = 0, h_size = 0, hxh_size = 0;
      for (int p = 0; p < d.hw; ++p)
        for (int c = group * size; c < (group + 1) * size; ++c) {
          const Value v = evaluate(p, c);
          const size_t at = in.affine(n, c);
          const double gamma = in.gamma[at];
          h += gamma * v.g / count, hxh += gamma * v.g * v.xh / count;
          h_size += std::abs(gamma) * v.size / count, hxh_size += std::abs(gamma * v.xh) * v.size / count;
          dbeta[at] += v.g, dgamma[at] += v.g * v.xh;
          dbeta_size[at] += v.size, dgamma_size[at] += v.size * std::abs(v.xh);
        }
      for (int p = 0; p < d.hw; ++p)
        for (int c = group * size; c < (group + 1) * size; ++c) {
          const Value v = evaluate(p, c);
          const double gamma = in.gamma[in.affine(n, c)], dx = rstd * (gamma * v.g - h - v.xh * hxh);
          const double error = rstd * (8 * kRounding * std::abs(gamma) * v.size +
                                       group_error * (h_size + std::abs(v.xh) * hxh_size));
          const bool second = c >= d.c1;
          const size_t row = size_t(n) * size_t(d.hw) + size_t(p);
          const T got = second ? out.dx2[row * size_t(d.c2) + size_t(c - d.c1)]
                               : out.dx[row * size_t(d.c1) + size_t(c)];
          wrong += !(std::abs(float(got) - dx) <= error + rounding_of<T>() * std::abs(dx));
        }
    }
  for (size_t c = 0; c < dgamma.size(); ++c) {
    wrong += !(std::abs(out.dgamma[c] - dgamma[c]) <= images * dgamma_size[c]);
    wrong += !(std::abs(out.dbeta[c] - dbeta[c]) <= images * dbeta_size[c]);
  }
  return wrong;
}

template <class T>
void check_case(const GroupNormDims& d, double mean = 0.5) {
  CAPTURE(d.n);
  CAPTURE(d.hw);
  CAPTURE(d.c1);
  CAPTURE(d.c2);
  CAPTURE(d.groups);
  CAPTURE(int(d.activation));
  CAPTURE(sizeof(T));
  const Input<T> in(d, mean);
  const Output<T> first = run(in, {});
  CHECK(wrong_forward(in, first) == 0);
  CHECK(wrong_backward(in, first) == 0);
  for (const simt::Schedule& schedule : simt::all_schedules()) CHECK(same(run(in, schedule), first));
}

template <class T>
void check_both(const GroupNormDims& d) {
  check_case<float>(d), check_case<T>(d);
}

}  // namespace

TEST_CASE("group_norm agrees with f64 for every activation") {
  for (Activation a : {Activation::none, Activation::silu, Activation::relu}) {
    check_both<bf16>({2, 35, 32, 0, 4, 1e-5f, a});
    check_both<bf16>({2, 9, 6, 0, 3, 1e-5f, a});
  }
}

TEST_CASE("group_norm takes any shape, one source or two") {
  const Activation silu = Activation::silu;
  check_both<bf16>({1, 1, 1, 0, 1, 1e-5f, silu});      // the smallest: the variance is 0
  check_both<bf16>({3, 7, 24, 16, 4, 1e-6f, silu});    // groups of 10 straddle the boundary, packs
  check_both<bf16>({1, 33, 20, 13, 3, 1e-6f, silu});   // the same with single elements
  check_both<bf16>({2, 16, 5, 6, 11, 1e-5f, silu});    // a channel a group
  check_both<bf16>({1, 20, 96, 48, 12, 1e-5f, silu});  // groups of 12: slices of 48 channels in bf16
  check_both<bf16>({1, 25, 64, 8, 9, 1e-5f, silu});    // the last slice of an image has fewer channels
  check_both<bf16>({2, 3, 1101, 0, 1, 1e-5f, silu});   // more columns than threads
  check_both<bf16>({1, 2, 4160, 0, 1, 1e-5f, silu});   // the same with packs
  check_both<bf16>({1, 60, 4160, 0, 1, 1e-5f, silu});  // and more pixels than a block holds
  check_both<bf16>({1, 1500, 16, 0, 4, 1e-5f, silu});  // many pixels
  check_both<bf16>({1, 4500, 72, 0, 9, 1e-5f, silu});  // more than a block holds
  check_both<bf16>({20, 4, 8, 0, 2, 1e-5f, silu});     // more images than the reduction of dgamma has rows
}

TEST_CASE("gamma and beta of each sample, one source or two") {
  const Activation silu = Activation::silu;
  check_both<bf16>({1, 1, 1, 0, 1, 1e-5f, silu, true});
  check_both<bf16>({3, 7, 24, 16, 4, 1e-6f, silu, true});    // packs
  check_both<bf16>({4, 33, 20, 13, 3, 1e-6f, silu, true});   // single elements
  check_both<bf16>({2, 25, 64, 8, 9, 1e-5f, silu, true});    // several slices, the last one smaller
  check_both<bf16>({2, 3, 1101, 0, 1, 1e-5f, silu, true});   // more columns than threads
  check_both<bf16>({2, 60, 4160, 0, 1, 1e-5f, silu, true});  // more pixels than a block holds
  check_both<bf16>({20, 4, 8, 0, 2, 1e-5f, Activation::none, true});
}

TEST_CASE("samples with the same gamma and beta have the bits of those that share them") {
  const auto check = [](const auto& shared) {
    const auto expected = run(shared, {});
    auto repeated = shared;
    repeated.dims.affine_per_sample = true;
    for (int n = 1; n < repeated.dims.n; ++n)
      for (std::vector<float>* v : {&repeated.gamma, &repeated.beta}) {
        const std::vector<float> row(v->begin(), v->begin() + repeated.dims.c());
        v->insert(v->end(), row.begin(), row.end());
      }
    const auto got = run(repeated, {});
    CHECK(simt::same_bits(got.y, expected.y));
    CHECK(simt::same_bits(got.dx, expected.dx));
    CHECK(simt::same_bits(got.dx2, expected.dx2));
  };
  const GroupNormDims d{3, 50, 24, 16, 4, 1e-5f, Activation::silu};
  check(Input<float>(d));
  check(Input<bf16>(d));
}

TEST_CASE("statistics survive a mean far above the deviation") {
  check_case<float>({1, 400, 16, 0, 2, 1e-5f, Activation::none}, 1000);
}

#if defined(ITO_SIMT)
TEST_CASE("a block that cannot hold its slice reads some of it twice, to the same bits") {
  const auto check = [](const auto& in) {
    for (size_t offset : {0, 1}) {  // by 16 bytes and singly
      const auto held = run(in, {}, offset);
      simt::set_shared_limit(48 * 1024);
      for (const simt::Schedule& schedule : simt::all_schedules())
        CHECK(same(run(in, schedule, offset), held));
      simt::set_shared_limit(simt::kSharedLimit);
    }
  };
  for (const GroupNormDims& d : {GroupNormDims{3, 1500, 16, 16, 4, 1e-5f, Activation::silu},
                                 // the last slice of an image has fewer channels
                                 GroupNormDims{2, 1500, 40, 0, 5, 1e-5f, Activation::none}}) {
    check(Input<float>(d));
    check(Input<bf16>(d));
  }
}
#endif

TEST_CASE("operands off the alignment of 16 bytes are read singly") {
  const auto check = [](const auto& in) {
    const auto out = run(in, {}, 1);
    CHECK(wrong_forward(in, out) == 0);
    CHECK(wrong_backward(in, out) == 0);
  };
  const GroupNormDims d{2, 19, 16, 8, 3, 1e-5f, Activation::silu};
  check(Input<float>(d));
  check(Input<bf16>(d));
  const auto check_each = [](const auto& in) {
    simt::with_each_array_unaligned([&] {
      const auto out = run(in, {});
      CHECK(wrong_forward(in, out) == 0);
      CHECK(wrong_backward(in, out) == 0);
    });
  };
  check_each(Input<float>(d));
  check_each(Input<bf16>(d));
}

TEST_CASE("gradients that are not wanted are not written") {
  const Input<float> in({2, 6, 8, 8, 4, 1e-5f, Activation::silu});
  const GroupNormDims& d = in.dims;
  const auto all = run(in, {});
  CudaStream stream;
  DeviceArray<float> x(stream, in.x), x2(stream, in.x2), dy(stream, in.dy), gamma(stream, in.gamma),
      beta(stream, in.beta);
  DeviceArray<float> mean(stream, all.mean), rstd(stream, all.rstd), dx(stream, in.x.size()),
      dx2(stream, in.x2.size()), partial(stream, group_norm_partial_floats(d));
  const auto backward = [&](const GroupNormGradients& wanted) {
    group_norm_backward(stream, d, {.x = x.in(), .x2 = x2.in(), .gamma = gamma.in(), .beta = beta.in()},
                        dy.in(), mean.in(), rstd.in(), wanted, partial.out());
  };
  backward({.dx2 = dx2.out()});
  CHECK(simt::same_bits(dx2.read(), all.dx2));
  backward({.dx = dx.out()});
  CHECK(simt::same_bits(dx.read(), all.dx));
  for (const float sum : partial.read()) CHECK(std::isnan(sum));
}

TEST_CASE("group_norm refuses what it cannot do") {
  CudaStream stream;
  double f64[4] = {};
  float x[4] = {};
  const In x64{f64, DType::f64}, x32{x, DType::f32};
  const Out out{x, DType::f32};
  const auto forward = [&](const GroupNormDims& d, In a, In b) {
    group_norm_forward(stream, d, {.x = a, .x2 = b, .gamma = x32, .beta = x32}, out, out, out);
  };
  CHECK_THROWS_WITH(forward({1, 1, 4, 0, 2, 1e-5f, Activation::none}, x64, {}),
                    "group_norm: f64 exists on the CPU only; on CUDA use f32 or bf16");
  CHECK_THROWS_AS(forward({1, 1, 4, 0, 3, 1e-5f, Activation::none}, x32, {}), ito::Error);
  CHECK_THROWS_AS(forward({1, 1, 4, 4, 2, 1e-5f, Activation::none}, x32, {}), ito::Error);
  CHECK_THROWS_AS(forward({0, 1, 4, 0, 2, 1e-5f, Activation::none}, x32, {}), ito::Error);
  CHECK_THROWS_WITH(
      forward({1, 1, 1 << 20, 0, 1, 1e-5f, Activation::none}, x32, {}),
      "group_norm: a group of 1048576 channels needs 8210 KiB of shared memory, and a block has "
      "227: use more groups");
  CHECK_THROWS_WITH(forward({65536, 1, 4, 0, 2, 1e-5f, Activation::none}, x32, {}),
                    "group_norm: 65536 samples; on CUDA 1 to 65535");
  const auto backward = [&](const GroupNormGradients& gradients, Out partial) {
    group_norm_backward(stream, {1, 1, 4, 0, 2, 1e-5f, Activation::none},
                        {.x = x32, .gamma = x32, .beta = x32}, x32, x32, x32, gradients, partial);
  };
  CHECK_THROWS_WITH(backward({.dgamma = out, .dbeta = out}, {}),
                    "group_norm: the backward pass needs the scratch `partial`");
  CHECK_THROWS_WITH(backward({.dgamma = out}, out),
                    "group_norm: dgamma and dbeta are wanted together or not at all");
}
