#include <algorithm>

#include "network_problem.h"
#include "rk45_problem.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

/// A step of some images, part by part, and what it should be in f64.
template <class F>
struct Step {
  Rk45Setting setting;
  NetworkProblem<float, F> p;
  Array<float> at, slopes, c_noise, guide_c_noise;
  Array<F> next, guide_next;

  Step(int n, int per_image, bool guided, bool limits, double tolerance = 0.5)
      : setting(n, per_image, tolerance),
        p(n, per_image, guided),
        at(normals(p.x.size(), 9)),
        slopes(normals(p.x.size() * kSlopes, 10)),
        c_noise(size_t(n)),
        guide_c_noise(size_t(n)),
        next(p.x.size()),
        guide_next(p.x.size()) {
    p.limits = limits;
  }
  Rk45Operands operands() {
    Rk45Operands o{.x = p.x.out(),
                   .at = at.out(),
                   .slopes = slopes.out(),
                   .network = {p.f.in(), next.out(), c_noise.out()},
                   .limit = p.limits ? p.limit.in() : In{},
                   .states = setting.states.data(),
                   .levels = setting.levels.data()};
    if (p.guided) o.guide = {p.guide_f.in(), guide_next.out(), guide_c_noise.out()};
    return o;
  }
  const Rk45Level& level(size_t i, int slope) const {
    return setting.levels[i / size_t(p.per_image) * kSlopes + size_t(slope) - 1];
  }
  /// k of every element, from the networks asked at y.
  std::vector<double> slope_at(const Array<float>& y, int slope) const {
    NetworkProblem<float, F> q = p;
    std::vector<double> k;
    for (size_t i = 0; i < p.x.size(); ++i) {
      const Rk45Level& l = level(i, slope);
      const double f = p.f[i], guide_f = p.guide_f[i], x = y[i],
                   from = l.guide.skip * x + l.guide.out * guide_f;
      double d = double(l.network.skip) * x + double(l.network.out) * f;
      if (p.guided) d = from + double(l.guidance) * (d - from);
      const double most = p.limit[i / size_t(p.per_image)];
      if (p.limits) d = std::clamp(d, -most, most) / most;
      k.push_back((x - d) / l.sigma);
    }
    return k;
  }
  double combined(const std::vector<double>& row, size_t i) const {
    double sum = 0;
    for (size_t j = 0; j < row.size(); ++j) sum += row[j] * slopes[j * p.x.size() + i];
    return sum;
  }
  std::vector<double> slope(int k) const {
    std::vector<double> values;
    for (size_t i = 0; i < p.x.size(); ++i) values.push_back(slopes[size_t(k - 1) * p.x.size() + i]);
    return values;
  }
};

// A few roundings of terms up to about 40, over a sigma of 1/2 or more.
constexpr double kSlopeBound = 40 * 8 * 6e-8 * 2;

template <class T>
void check_next_inputs(const Step<T>& s, int slope) {
  for (size_t i = 0; i < s.at.size(); ++i) {
    const double want = double(s.level(i, slope).network.next_scale) * s.at[i];
    CHECK(std::abs(s.next[i] - want) <= std::abs(want) * epsilon<T>());
    if (!s.p.guided) continue;
    const double guide = double(s.level(i, slope).guide.next_scale) * s.at[i];
    CHECK(std::abs(s.guide_next[i] - guide) <= std::abs(guide) * epsilon<T>());
  }
  for (int n = 0; n < s.p.n; ++n)
    CHECK(s.c_noise[size_t(n)] == s.setting.levels[size_t(n * kSlopes + slope - 1)].network.next_c_noise);
}

}  // namespace

TEST_CASE(
    "the tableau of Dormand and Prince satisfies the conditions of order 5, and its error's of order 4") {
  const auto rows = exact_rows();
  for (int slope = 1; slope < kSlopes; ++slope) {
    double sum = 0;
    for (int j = 0; j < kSlopes; ++j) {
      const double exact = j < slope ? rows[size_t(slope - 1)][size_t(j)] : 0;
      CHECK(rk45_row(slope).weights[j] == float(exact));
      sum += exact;
    }
    CHECK(sum == doctest::Approx(rk45_node(slope)).epsilon(1e-14));
  }
  for (int power = 0; power < 5; ++power) {
    double order = 0, error = 0;
    for (int j = 0; j < kSlopes; ++j) {
      const double c = std::pow(rk45_node(j), power);
      order += (j < 6 ? rows[5][size_t(j)] : 0) * c, error += double(rk45_error_row().weights[j]) * c;
    }
    CHECK(order == doctest::Approx(1. / (power + 1)).epsilon(1e-14));
    if (power < 4)
      CHECK(std::abs(error) < 1e-7);
    else
      CHECK(std::abs(error) > 1e-4);  // the two results differ in order 5
  }
}

TEST_CASE_TEMPLATE("rk45: slopes, states and inputs", F, float, bf16) {
  for (const bool guided : {false, true})
    for (const bool limits : {false, true})
      for (const int d : {1, 7, 2051})
        for (int slope = 1; slope < kSlopes; ++slope) {
          CAPTURE(d);
          CAPTURE(slope);
          Step<F> s(3, d, guided, limits);
          const std::vector<double> k = s.slope_at(slope == 1 ? s.p.x : s.at, slope);
          CpuStream stream(2);
          rk45_slope(stream, s.setting.dims, slope, s.operands());
          const std::vector<double> got = s.slope(slope);
          for (size_t i = 0; i < k.size(); ++i) {
            CHECK(std::abs(got[i] - k[i]) <= kSlopeBound);
            const double h = s.setting.states[i / size_t(d)].step;
            const double y = s.p.x[i] + h * s.combined(exact_rows()[size_t(slope - 1)], i);
            CHECK(std::abs(s.at[i] - y) <= 2e-4);  // weights up to 11 times slopes up to 100, in f32
          }
          check_next_inputs(s, slope + 1);
        }
}

TEST_CASE("rk45: the error decides") {
  for (const double tolerance : {0.05, 0.5, 50.0}) {
    Step<float> s(3, 301, true, false, tolerance);
    const std::vector<Rk45State> before = s.setting.states;
    const std::vector<double> k = s.slope_at(s.at, kSlopes);
    CpuStream stream(2);
    rk45_error(stream, s.setting.dims, s.setting.table_of(s.setting.table.data()), s.operands());
    for (int n = 0; n < 3; ++n) {
      double squares = 0;
      for (size_t i = size_t(n) * 301; i < size_t(n + 1) * 301; ++i) {
        CHECK(std::abs(s.slope(kSlopes)[i] - k[i]) <= kSlopeBound);
        std::vector<double> row;
        for (const float w : rk45_error_row().weights) row.push_back(w);
        squares +=
            std::pow(before[size_t(n)].step * s.combined(row, i) / (tolerance * (1 + std::abs(s.at[i]))), 2);
      }
      const double error = std::sqrt(squares / 301);
      const Rk45State& was = before[size_t(n)];
      const Rk45State& is = s.setting.states[size_t(n)];
      CAPTURE(error);
      CHECK(is.tries == was.tries + 1);
      CHECK((is.verdict == Rk45Verdict::rejected) == (error > 1));
      if (error <= 1) CHECK(is.sigma == was.sigma + was.step);
      if (is.verdict == Rk45Verdict::reached) CHECK((n == 1 && is.step == 0 && is.sigma == 0.5));
      const bool may_grow = error <= 1 && was.verdict != Rk45Verdict::rejected;
      const double factor = std::clamp(0.9 * std::pow(error, -0.2), 0.2, may_grow ? 10.0 : 1.0);
      if (is.verdict != Rk45Verdict::reached)
        CHECK(is.step == doctest::Approx(std::max(was.step * factor, 0.5 - is.sigma)).epsilon(1e-4));
      for (int j = 0; j < kSlopes; ++j)
        CHECK(s.setting.levels[size_t(n * kSlopes + j)].sigma ==
              float(std::max(is.sigma + rk45_node(j) * is.step, 0.5)));
    }
  }
}

TEST_CASE("rk45: what becomes of an image by its verdict") {
  for (const Rk45Verdict verdict : {Rk45Verdict::rejected, Rk45Verdict::accepted, Rk45Verdict::reached,
                                    Rk45Verdict::ended, Rk45Verdict::failed}) {
    Step<float> s(1, 37, false, false);
    s.setting.states[0].verdict = verdict;
    const Array<float> x = s.p.x, moved = s.at;
    const std::vector<double> first = s.slope(1), last = s.slope(kSlopes);
    CpuStream stream(1);
    rk45_accept(stream, s.setting.dims, s.operands());
    const bool moves = verdict == Rk45Verdict::accepted || verdict == Rk45Verdict::reached;
    for (size_t i = 0; i < 37; ++i) {
      const float end = float(moved[i]) - float(s.setting.states[0].sigma) * float(last[i]);
      CHECK(s.slope(1)[i] == (moves ? last[i] : first[i]));
      if (verdict == Rk45Verdict::failed)
        CHECK(std::isnan(s.p.x[i]));
      else
        CHECK(float(s.p.x[i]) == doctest::Approx(verdict == Rk45Verdict::reached ? end
                                                 : moves                         ? moved[i]
                                                                                 : x[i]));
      const double h = s.setting.states[0].step;
      if (verdict != Rk45Verdict::failed)
        CHECK(s.at[i] == doctest::Approx(s.p.x[i] + h * 0.2 * s.slope(1)[i]).epsilon(1e-5));
    }
    if (verdict != Rk45Verdict::failed) check_next_inputs(s, 2);
  }
}

TEST_CASE("rk45: a NaN ends its image and no other; one that is there stays") {
  Step<float> s(3, 64, false, false, 50);
  s.setting.states[0].step = 0, s.setting.states[0].verdict = Rk45Verdict::reached;
  s.p.f.data()[2 * 64 + 5] = NAN;
  const std::vector<double> before = s.p.x.values();
  CpuStream stream(2);
  rk45_error(stream, s.setting.dims, s.setting.table_of(s.setting.table.data()), s.operands());
  rk45_accept(stream, s.setting.dims, s.operands());
  CHECK(s.setting.states[0].verdict == Rk45Verdict::ended);
  CHECK(s.setting.states[1].verdict == Rk45Verdict::reached);
  CHECK(s.setting.states[2].verdict == Rk45Verdict::failed);
  CHECK(s.setting.states[2].step == 0);
  for (size_t i = 0; i < 64; ++i) {
    CHECK(s.p.x[i] == before[i]);
    CHECK(std::isfinite(s.p.x[64 + i]));
    CHECK(std::isnan(s.p.x[128 + i]));
  }
}

TEST_CASE("rk45 says what is missing") {
  Step<float> s(1, 4, false, false);
  CpuStream stream(1);
  const auto refused = [&](const char* text, auto change) {
    Rk45Operands o = s.operands();
    Rk45Dims d = s.setting.dims;
    change(d, o);
    CHECK_THROWS_WITH(rk45_accept(stream, d, o), text);
  };
  refused("rk45: 0 images of 4 elements; both must be positive", [](auto& d, auto&) { d.n = 0; });
  refused("rk45: a tolerance of 0 and an end at sigma 0.5; both must be positive",
          [](auto& d, auto&) { d.tolerance = 0; });
  refused("rk45: the state x, at or the slopes are missing", [](auto&, auto& o) { o.slopes = {}; });
  refused("rk45: the images' states or levels are missing", [](auto&, auto& o) { o.levels = nullptr; });
  refused("rk45: the network's output f is missing", [](auto&, auto& o) { o.network.f = {}; });
  CHECK_THROWS_WITH(rk45_slope(stream, s.setting.dims, 7, s.operands()), "rk45: slope 7 of 1 .. 6");
  CHECK_THROWS_WITH(rk45_error(stream, s.setting.dims, Rk45Table{}, s.operands()),
                    "rk45: a table of two levels or more, of rising sigma, is missing");
}
