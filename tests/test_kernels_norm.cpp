#include <cstdint>
#include <tuple>

#include "kernel_arrays.h"
#include "kernels/group_norm.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

double act(Activation a, double v) {
  return a == Activation::silu ? v / (1 + std::exp(-v)) : a == Activation::relu ? std::max(v, 0.0) : v;
}

double act_slope(Activation a, double v) {
  const double s = 1 / (1 + std::exp(-v));
  return a == Activation::silu ? s * (1 + v * (1 - s)) : a == Activation::relu ? (v > 0 ? 1.0 : 0.0) : 1.0;
}

/// The problem in f64, x as one concatenated array [N,HW,C].
struct Reference {
  GroupNormDims d;
  std::vector<double> x, gamma, beta, dy;
  std::vector<double> mean, rstd, y, dx, dgamma, dbeta;

  size_t at(int n, int p, int j) const { return (size_t(n) * d.hw + p) * d.c() + j; }
  /// Where gamma, beta and their gradients are.
  size_t affine(int n, int j) const { return size_t(d.affine_per_sample ? n : 0) * d.c() + j; }

  void run() {
    const int c = d.c(), width = c / d.groups;
    const double m = double(width) * d.hw;
    y.resize(x.size()), dx.resize(x.size()), dgamma.assign(gamma.size(), 0), dbeta.assign(gamma.size(), 0);
    mean.clear(), rstd.clear();
    for (int n = 0; n < d.n; ++n) {
      for (int g = 0; g < d.groups; ++g) {
        long double sum = 0, square = 0;
        double sum_h = 0, sum_hx = 0;
        const auto each = [&](auto f) {
          for (int p = 0; p < d.hw; ++p)
            for (int j = g * width; j < (g + 1) * width; ++j) f(at(n, p, j), affine(n, j));
        };
        each([&](size_t i, size_t) { sum += x[i]; });
        const long double mu = sum / m;
        each([&](size_t i, size_t) { square += (x[i] - mu) * (x[i] - mu); });
        const double r = double(1 / std::sqrt(square / m + d.eps));
        mean.push_back(double(mu)), rstd.push_back(r);
        each([&](size_t i, size_t j) {
          const double xh = double(x[i] - mu) * r, v = gamma[j] * xh + beta[j],
                       gr = dy[i] * act_slope(d.activation, v);
          y[i] = act(d.activation, v);
          dgamma[j] += gr * xh, dbeta[j] += gr;
          sum_h += gamma[j] * gr, sum_hx += gamma[j] * gr * xh;
        });
        each([&](size_t i, size_t j) {
          const double xh = double(x[i] - mu) * r, v = gamma[j] * xh + beta[j],
                       gr = dy[i] * act_slope(d.activation, v);
          dx[i] = r * (gamma[j] * gr - sum_h / m - xh * sum_hx / m);
        });
      }
    }
  }
};

/// Columns [from, from + count) of an [rows, c] array.
std::vector<double> columns(const std::vector<double>& all, int c, int from, int count) {
  std::vector<double> result;
  for (size_t row = 0; row < all.size() / c; ++row) {
    for (int j = from; j < from + count; ++j) result.push_back(all[row * c + j]);
  }
  return result;
}

template <class T>
struct Run {
  using A = arithmetic_t<T>;
  Array<T> x, x2, dy, y, dx, dx2;
  Array<A> gamma, beta, mean, rstd, dgamma, dbeta, partial;

  Run(const GroupNormDims& d, const Reference& r)
      : x(columns(r.x, d.c(), 0, d.c1)),
        x2(columns(r.x, d.c(), d.c1, d.c2)),
        dy(r.dy),
        y(r.x.size()),
        dx(x.size()),
        dx2(x2.size()),
        gamma(r.gamma),
        beta(r.beta),
        mean(size_t(d.n) * d.groups),
        rstd(mean.size()),
        dgamma(gamma.size()),
        dbeta(gamma.size()),
        partial(group_norm_partial_floats(d)) {}

  GroupNormInputs inputs() const {
    return {.x = x.in(), .x2 = x2.size() ? x2.in() : In{}, .gamma = gamma.in(), .beta = beta.in()};
  }
  void run(CpuStream& stream, const GroupNormDims& d) {
    group_norm_forward(stream, d, inputs(), y.out(), mean.out(), rstd.out());
    group_norm_backward(
        stream, d, inputs(), dy.in(), mean.in(), rstd.in(),
        {.dx = dx.out(), .dx2 = x2.size() ? dx2.out() : Out{}, .dgamma = dgamma.out(), .dbeta = dbeta.out()},
        partial.size() ? partial.out() : Out{});
  }
};

template <class T>
Reference make_reference(const GroupNormDims& d, double mean, double deviation) {
  const size_t count = size_t(d.n) * d.hw * d.c(), affine = size_t(d.affine_per_sample ? d.n : 1) * d.c();
  Reference r{d,
              Array<T>(normals(count, 1, mean, deviation)).values(),
              Array<arithmetic_t<T>>(normals(affine, 2, 1, 0.3)).values(),
              Array<arithmetic_t<T>>(normals(affine, 3, 0, 0.3)).values(),
              Array<T>(normals(count, 4)).values(),
              {},
              {},
              {},
              {},
              {},
              {}};
  r.run();
  return r;
}

/// mean_error: what rounding x's mean to the statistics' type moves every xh by, in units of its deviation.
template <class T>
void check_against_reference(const GroupNormDims& d, double mean, double deviation) {
  INFO("n ", d.n, " hw ", d.hw, " c ", d.c1, "+", d.c2, " groups ", d.groups, " activation ",
       int(d.activation));
  using A = arithmetic_t<T>;
  const Reference r = make_reference<T>(d, mean, deviation);
  CpuStream stream(2);
  Run<T> run(d, r);
  run.run(stream, d);
  // Sums of at most 8192/C pixels (64 steps of four at C = 32) in A, longer ones in f64; then a few
  // roundings.
  const double tiny = 64 * epsilon<A>(), shift = epsilon<A>() * std::abs(mean) / deviation;
  check_close(run.mean, r.mean, epsilon<A>(), tiny * deviation);
  check_close(run.rstd, r.rstd, tiny, 0);
  check_close(run.y, r.y, epsilon<T>(), 4 * tiny + 4 * shift);
  const double scale = r.rstd[0];
  const auto dx1 = columns(r.dx, d.c(), 0, d.c1), dx2 = columns(r.dx, d.c(), d.c1, d.c2);
  check_close(run.dx, dx1, epsilon<T>(), (16 * tiny + 16 * shift) * scale);
  check_close(run.dx2, d.c2 ? dx2 : std::vector<double>{}, epsilon<T>(), (16 * tiny + 16 * shift) * scale);
  const double rows = std::sqrt(double(d.n) * d.hw);
  check_close(run.dgamma, r.dgamma, 4 * epsilon<A>(), (16 * tiny + 8 * shift) * rows);
  check_close(run.dbeta, r.dbeta, 4 * epsilon<A>(), (16 * tiny + 8 * shift) * rows);
}

}  // namespace

TEST_CASE_TEMPLATE("group_norm agrees with plain loops in f64", T, float, bf16, double) {
  for (const Activation a : {Activation::none, Activation::silu, Activation::relu}) {
    check_against_reference<T>({2, 35, 32, 0, 8, 1e-5f, a}, 0.5, 2);
    check_against_reference<T>({3, 9, 5, 7, 3, 1e-5f, a}, 0, 1);  // the second group straddles the sources
    check_against_reference<T>({1, 700, 12, 24, 9, 1e-5f, a}, -1,
                               1);  // several chunks, more threads than samples
    check_against_reference<T>({5, 1, 64, 0, 16, 1e-6f, a}, 0, 1);  // a single pixel
    check_against_reference<T>({2, 513, 3, 0, 1, 1e-5f, a}, 0, 1);
  }
}

TEST_CASE_TEMPLATE("group_norm with gamma and beta of each sample agrees with plain loops in f64", T, float,
                   bf16, double) {
  for (const Activation a : {Activation::none, Activation::silu}) {
    check_against_reference<T>({2, 35, 32, 0, 8, 1e-5f, a, true}, 0.5, 2);
    check_against_reference<T>({3, 9, 5, 7, 3, 1e-5f, a, true}, 0, 1);
    check_against_reference<T>({1, 700, 12, 24, 9, 1e-5f, a, true}, -1, 1);
    check_against_reference<T>({17, 3, 6, 0, 2, 1e-5f, a, true}, 0, 1);
  }
}

TEST_CASE("group_norm: samples with the same gamma and beta have the bits of those that share them") {
  GroupNormDims d{3, 40, 6, 10, 4, 1e-5f, Activation::silu};
  Reference r = make_reference<float>(d, 0.5, 1);
  CpuStream stream(2);
  Run<float> shared(d, r);
  shared.run(stream, d);
  d.affine_per_sample = true;
  for (std::vector<double>* v : {&r.gamma, &r.beta}) {
    const std::vector<double> row = *v;
    for (int n = 1; n < d.n; ++n) v->insert(v->end(), row.begin(), row.end());
  }
  Run<float> repeated(d, r);
  repeated.run(stream, d);
  CHECK(repeated.y.same_bits(shared.y));
  CHECK(repeated.dx.same_bits(shared.dx));
  CHECK(repeated.dx2.same_bits(shared.dx2));
}

TEST_CASE("group_norm keeps its figures where the mean is far larger than the deviation") {
  // 3000 / 0.25 = 12000 deviations: a sum of squares in f32 would lose all digits (12000^2 2^-24 = 8.6).
  check_against_reference<float>({2, 1024, 16, 0, 4, 1e-5f, Activation::none}, 3000, 0.25);
  check_against_reference<float>({1, 333, 5, 7, 3, 1e-5f, Activation::silu}, -500, 0.1);
}

TEST_CASE("group_norm: an outlier in the first pixel, a constant group") {
  const GroupNormDims d{1, 600, 8, 0, 2, 1e-5f, Activation::none};
  Reference r = make_reference<float>(d, 0, 0.01);
  for (int j = 0; j < 4; ++j) r.x[j] = 1000;  // the pixel that sums are centred on
  for (int p = 0; p < d.hw; ++p)
    for (int j = 4; j < 8; ++j) r.x[r.at(0, p, j)] = 7.25;
  r.run();
  CpuStream stream(1);
  Run<float> run(d, r);
  run.run(stream, d);
  // A chunk of at most 256 pixels loses at most a factor of 256 where its first pixel is far from all others.
  const double loss = 2 * 256 * epsilon<float>();
  check_close(run.mean, r.mean, 0, loss / r.rstd[0]);
  check_close(run.rstd, r.rstd, loss, 0);
  check_close(run.y, r.y, loss, loss);
}

TEST_CASE(
    "group_norm: bits are the same in two runs, for any number of threads, and for a sample whatever the "
    "batch") {
  const GroupNormDims d{5, 400, 24, 8, 4, 1e-5f, Activation::silu};
  const Reference r = make_reference<float>(d, 0, 1);
  CpuStream one(1), two(2), three(3);
  Run<float> first(d, r), second(d, r), third(d, r), again(d, r);
  first.run(one, d), second.run(two, d), third.run(three, d), again.run(two, d);
  for (const Run<float>* other : {&second, &third, &again}) {
    CHECK(first.y.same_bits(other->y));
    CHECK(first.dx.same_bits(other->dx));
    CHECK(first.dx2.same_bits(other->dx2));
    CHECK(first.dgamma.same_bits(other->dgamma));
    CHECK(first.dbeta.same_bits(other->dbeta));
  }
  GroupNormDims single = d;
  single.n = 1;
  Reference alone{single, r.x, r.gamma, r.beta, r.dy, {}, {}, {}, {}, {}, {}};
  alone.x.resize(size_t(d.hw) * d.c()), alone.dy.resize(alone.x.size());
  Run<float> part(single, alone);
  part.run(two, single);
  CHECK(std::memcmp(part.y.data(), first.y.data(), part.y.size() * 4) == 0);
  CHECK(std::memcmp(part.dx.data(), first.dx.data(), part.dx.size() * 4) == 0);
}

TEST_CASE("group_norm_backward leaves out what is not wanted") {
  const GroupNormDims d{2, 30, 6, 2, 2, 1e-5f, Activation::silu};
  const Reference r = make_reference<double>(d, 0, 1);
  CpuStream stream(2);
  Run<double> all(d, r), some(d, r);
  all.run(stream, d);
  group_norm_backward(stream, d, some.inputs(), some.dy.in(), all.mean.in(), all.rstd.in(),
                      {.dx2 = some.dx2.out()}, some.partial.out());
  CHECK(some.dx2.same_bits(all.dx2));
  CHECK(std::isnan(some.dgamma[0]));
  CHECK(std::isnan(some.dx[0]));
}

TEST_CASE("group_norm's gradient is the slope of its result") {
  const GroupNormDims d{1, 7, 3, 5, 2, 1e-5f, Activation::silu};
  Reference r = make_reference<double>(d, 0.3, 1);
  CpuStream stream(1);
  Run<double> base(d, r);
  base.run(stream, d);
  const auto loss = [&](const Reference& ref) {
    Run<double> run(d, ref);
    run.run(stream, d);
    double sum = 0;
    for (size_t i = 0; i < run.y.size(); ++i) sum += run.y[i] * ref.dy[i];
    return sum;
  };
  const double h = 1e-5;
  for (size_t i = 0; i < r.x.size(); ++i) {
    Reference up = r, down = r;
    up.x[i] += h, down.x[i] -= h;
    const int j = int(i % 8), p = int(i / 8);
    const double analytic = j < 3 ? base.dx[p * 3 + j] : base.dx2[p * 5 + j - 3];
    CHECK(analytic == doctest::Approx((loss(up) - loss(down)) / (2 * h)).epsilon(1e-7).scale(1));
  }
  for (int j = 0; j < 8; ++j) {
    Reference up = r, down = r;
    up.gamma[j] += h, down.gamma[j] -= h;
    CHECK(base.dgamma[j] == doctest::Approx((loss(up) - loss(down)) / (2 * h)).epsilon(1e-7).scale(1));
  }
}

TEST_CASE("group_norm refuses groups that do not divide the channels") {
  CpuStream stream(1);
  Array<float> x(12);
  const GroupNormInputs inputs{.x = x.in(), .gamma = x.in(), .beta = x.in()};
  CHECK_THROWS_AS(
      group_norm_forward(stream, {1, 2, 6, 0, 4, 1e-5f, Activation::none}, inputs, x.out(), x.out(), x.out()),
      Error);
}
