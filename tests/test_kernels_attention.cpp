#include <algorithm>

#include "kernel_arrays.h"
#include "kernels/attention.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

/// softmax(q k^T / sqrt(D)) v and its gradients in f64, a query at a time.
struct Reference {
  AttentionDims d;
  std::vector<double> q, k, v, dy;
  std::vector<double> y, lse, dq, dk, dv;

  void run() {
    const int width = d.head_width();
    y.assign(q.size(), 0), dq = dk = dv = y, lse.assign(size_t(d.n) * d.heads * d.tokens, 0);
    std::vector<double> p(d.tokens), dp(d.tokens);
    for (int head = 0; head < d.n * d.heads; ++head) {
      const size_t base = size_t(head / d.heads) * d.tokens * d.channels + size_t(head % d.heads) * width;
      const auto row = [&](int token) { return base + size_t(token) * d.channels; };
      for (int i = 0; i < d.tokens; ++i) {
        double sum = 0, largest = -1e300, delta = 0;
        for (int j = 0; j < d.tokens; ++j) {
          p[j] = dp[j] = 0;
          for (int c = 0; c < width; ++c) {
            p[j] += q[row(i) + c] * k[row(j) + c] / std::sqrt(double(width)),
                dp[j] += dy[row(i) + c] * v[row(j) + c];
          }
          largest = std::max(largest, p[j]);
        }
        for (double& score : p) score = std::exp(score - largest), sum += score;
        lse[size_t(head) * d.tokens + i] = largest + std::log(sum);
        for (int j = 0; j < d.tokens; ++j) p[j] /= sum, delta += p[j] * dp[j];
        for (int j = 0; j < d.tokens; ++j) {
          const double ds = p[j] * (dp[j] - delta) / std::sqrt(double(width));
          for (int c = 0; c < width; ++c) {
            y[row(i) + c] += p[j] * v[row(j) + c], dv[row(j) + c] += p[j] * dy[row(i) + c];
            dq[row(i) + c] += ds * k[row(j) + c], dk[row(j) + c] += ds * q[row(i) + c];
          }
        }
      }
    }
  }
};

template <class T>
struct Run {
  Array<T> q, k, v, dy, y, dq, dk, dv;
  Array<arithmetic_t<T>> lse;
  explicit Run(const Reference& r)
      : q(r.q),
        k(r.k),
        v(r.v),
        dy(r.dy),
        y(q.size()),
        dq(y),
        dk(y),
        dv(y),
        lse(size_t(r.d.n) * r.d.heads * r.d.tokens) {}
  void run(int threads, const AttentionDims& d) {
    CpuStream stream(threads);
    const AttentionInputs inputs{.q = q.in(), .k = k.in(), .v = v.in()};
    attention_forward(stream, d, inputs, y.out(), lse.out());
    attention_backward(stream, d, inputs, dy.in(), y.in(), lse.in(),
                       {.dq = dq.out(), .dk = dk.out(), .dv = dv.out()});
  }
  bool same_bits(const Run& o) const {
    return y.same_bits(o.y) && lse.same_bits(o.lse) && dq.same_bits(o.dq) && dk.same_bits(o.dk) &&
           dv.same_bits(o.dv);
  }
};

template <class T>
Reference make_reference(const AttentionDims& d, double size) {
  const size_t count = size_t(d.n) * d.tokens * d.channels;
  Reference r{d,
              Array<T>(normals(count, 1, 0, size)).values(),
              Array<T>(normals(count, 2, 0, size)).values(),
              Array<T>(normals(count, 3)).values(),
              Array<T>(normals(count, 4)).values(),
              {},
              {},
              {},
              {},
              {}};
  r.run();
  return r;
}

}  // namespace

TEST_CASE_TEMPLATE("attention agrees with plain loops in f64", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  for (const AttentionDims& d : {AttentionDims{2, 64, 16, 2}, {1, 1, 8, 1}, {1, 67, 9, 3}, {2, 300, 24, 1}}) {
    for (const double size : {1.0, 4.0}) {
      INFO(d.n, " x ", d.tokens, " tokens, ", d.channels, " channels, ", d.heads, " heads, size ", size);
      const Reference r = make_reference<T>(d, size);
      Run<T> run(r);
      run.run(2, d);
      // A score is a sum of D products of size^2; its error moves a probability by as much, relatively.
      const double score = size * size * std::sqrt(double(d.head_width())) * epsilon<A>() * 8;
      check_close(run.lse, r.lse, 2 * epsilon<A>(), score);
      check_close(run.y, r.y, epsilon<T>(), 4 * score);
      check_close(run.dq, r.dq, epsilon<T>(), 32 * size * score);
      check_close(run.dk, r.dk, epsilon<T>(), 32 * size * score);
      check_close(run.dv, r.dv, epsilon<T>(), 32 * score);
    }
  }
}

TEST_CASE("attention: large scores do not overflow") {
  const AttentionDims d{1, 65, 8, 1};
  Reference r = make_reference<float>(d, 60);  // scores of several thousand
  Run<float> run(r);
  run.run(2, d);
  for (size_t i = 0; i < r.y.size(); ++i) {
    REQUIRE(std::isfinite(run.y[i]));
    REQUIRE(std::isfinite(run.dq[i]));
    REQUIRE(std::isfinite(run.dk[i]));
  }
  check_close(run.lse, r.lse, 1e-6, 1e-3);
}

TEST_CASE("attention does not hide NaN") {
  const AttentionDims d{1, 70, 8, 1};
  Reference r = make_reference<float>(d, 1);
  Run<float> run(r);
  run.q.data()[3 * 8] = NAN;
  run.run(2, d);
  CHECK(std::isnan(run.y[3 * 8 + 5]));
  CHECK(std::isnan(run.dq[3 * 8 + 5]));
  CHECK(std::isnan(run.dk[0]));
  CHECK(!std::isnan(run.y[4 * 8]));
}

TEST_CASE("attention: two runs, one thread or three, and a sample alone give the same bits") {
  const AttentionDims d{2, 200, 32, 2};
  const Reference r = make_reference<float>(d, 1);
  Run<float> first(r), second(r), third(r);
  first.run(2, d), second.run(2, d), third.run(3, d);
  CHECK(first.same_bits(second));
  CHECK(first.same_bits(third));
  Run<float> one(r);
  one.run(1, d);
  CHECK(first.same_bits(one));

  AttentionDims single = d;
  single.n = 1;
  const size_t half = r.q.size() / 2;
  const auto tail = [&](const std::vector<double>& all) {
    return std::vector<double>(all.begin() + half, all.end());
  };
  const Reference alone{single, tail(r.q), tail(r.k), tail(r.v), tail(r.dy), {}, {}, {}, {}, {}};
  Run<float> part(alone);
  part.run(2, single);
  CHECK(std::memcmp(part.y.data(), first.y.data() + half, half * 4) == 0);
  CHECK(std::memcmp(part.dk.data(), first.dk.data() + half, half * 4) == 0);
}

TEST_CASE("attention's gradients are the slopes of its result") {
  const AttentionDims d{1, 5, 4, 2};
  Reference r = make_reference<double>(d, 1);
  Run<double> base(r);
  base.run(1, d);
  const auto loss = [&](const Reference& ref) {
    Run<double> run(ref);
    run.run(1, d);
    double sum = 0;
    for (size_t i = 0; i < run.y.size(); ++i) sum += run.y[i] * ref.dy[i];
    return sum;
  };
  const double h = 1e-5;
  for (size_t i = 0; i < r.q.size(); ++i) {
    const auto slope = [&](std::vector<double> Reference::*which) {
      Reference up = r, down = r;
      (up.*which)[i] += h, (down.*which)[i] -= h;
      return (loss(up) - loss(down)) / (2 * h);
    };
    CHECK(base.dq[i] == doctest::Approx(slope(&Reference::q)).epsilon(1e-8).scale(1));
    CHECK(base.dk[i] == doctest::Approx(slope(&Reference::k)).epsilon(1e-8).scale(1));
    CHECK(base.dv[i] == doctest::Approx(slope(&Reference::v)).epsilon(1e-8).scale(1));
  }
}

TEST_CASE("attention refuses heads that do not divide the channels") {
  CpuStream stream(1);
  Array<float> x(30);
  const AttentionInputs inputs{.q = x.in(), .k = x.in(), .v = x.in()};
  CHECK_THROWS_AS(attention_forward(stream, {1, 3, 10, 4}, inputs, x.out(), x.out()), Error);
}
