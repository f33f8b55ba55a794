#include <algorithm>

#include "kernels/langevin.h"
#include "kernels/threshold.h"
#include "network_problem.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

namespace {

/// max(1, quantile), from the sorted magnitudes of D_0.
template <class A, class F>
std::vector<double> expected_limits(const NetworkProblem<A, F>& p, double quantile) {
  std::vector<double> result;
  const std::vector<double> d0 = p.denoised();
  for (int image = 0; image < p.n; ++image) {
    std::vector<double> sorted;
    for (int e = 0; e < p.per_image; ++e) sorted.push_back(std::abs(d0[size_t(image) * p.per_image + e]));
    std::sort(sorted.begin(), sorted.end());
    const double position = quantile * (p.per_image - 1);
    const size_t below = size_t(position), above = std::min(below + 1, sorted.size() - 1);
    const double part = position - double(below);
    result.push_back(std::max(1.0, sorted[below] * (1 - part) + sorted[above] * part));
  }
  return result;
}

template <class A, class F>
Array<A> limits_of(const NetworkProblem<A, F>& p, double quantile, int threads = 2) {
  CpuStream stream(threads);
  Array<A> limit(size_t(p.n));
  SdeStep step;
  p.write_to(step);
  dynamic_limit(stream, {p.n, p.per_image, quantile}, &step,
                {.x = p.x.in(), .f = p.f.in(), .guide_f = p.guided ? p.guide_f.in() : In{}}, limit.out());
  return limit;
}

}  // namespace

TEST_CASE_TEMPLATE("dynamic_limit is a quantile of |D_0|, and at least 1", F, float, bf16, double) {
  using A = std::conditional_t<std::is_same_v<F, double>, double, float>;
  int ones = 0, all = 0;
  for (const bool guided : {false, true})
    for (const int d : {1, 2, 7, 2048, 4099})
      for (const double quantile : {1e-9, 0.1, 0.5, 0.995, 1.0}) {
        CAPTURE(d);
        CAPTURE(quantile);
        NetworkProblem<A, F> p(3, d, guided);
        p.guidance = 1.5f;
        const Array<A> limit = limits_of(p, quantile);
        // A quantile moves by no more than the values do, and those have terms up to about 16.
        check_close(limit, expected_limits(p, quantile), 4 * epsilon<A>(), 128 * epsilon<A>());
        CHECK(limits_of(p, quantile, 1).same_bits(limit));
        CHECK(limits_of(p.alone(1), quantile)[0] == limit[1]);
        for (const double v : limit.values()) ones += v == 1, ++all;
      }
  CHECK((ones > 20 && ones < all - 20));
}

TEST_CASE("dynamic_limit: a NaN makes its image's limit NaN, an infinity counts as the largest value") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const bool guided : {false, true}) {
    NetworkProblem<float, float> p(3, 5, guided);
    p.f.data()[7] = std::numeric_limits<float>::quiet_NaN();
    p.f.data()[12] = p.f.data()[14] = infinity;
    const Array<float> half = limits_of(p, 0.5), almost = limits_of(p, 0.9), most = limits_of(p, 1);
    CHECK((std::isfinite(half[0]) && std::isnan(half[1]) && std::isfinite(half[2])));
    CHECK((std::isfinite(most[0]) && std::isnan(most[1]) && most[2] == infinity && almost[2] == infinity));
  }
}

TEST_CASE("dynamic_limit refuses what is no quantile, and says what is missing") {
  const NetworkProblem<float, float> p(2, 9, false);
  for (const double quantile : {0.0, -0.5, 1.01, std::nan("")})
    CHECK_THROWS_AS(limits_of(p, quantile), Error);
  CHECK_THROWS_WITH(limits_of(p, 0), "dynamic_limit: a quantile is above 0 and at most 1, not 0");
  CpuStream stream(1);
  const SdeStep step;
  Array<float> limit(2);
  Array<double> wide(2);
  const DynamicLimitDims d{2, 9, 0.5};
  CHECK_THROWS_WITH(dynamic_limit(stream, d, &step, {.x = p.x.in(), .f = {}, .guide_f = {}}, limit.out()),
                    "dynamic_limit: the network's output f or its input x is missing");
  CHECK_THROWS_WITH(dynamic_limit(stream, d, &step, {.x = p.x.in(), .f = p.f.in(), .guide_f = {}}, {}),
                    "dynamic_limit: the limit is missing");
  CHECK_THROWS_WITH(
      dynamic_limit(stream, d, &step, {.x = p.x.in(), .f = p.f.in(), .guide_f = {}}, wide.out()),
      "dynamic_limit: the limit is f64, x is f32; they have one element type");
}

namespace {

/// A corrector's operands, and its results in f64.
template <class A, class F>
struct LangevinProblem : NetworkProblem<A, F> {
  using Base = NetworkProblem<A, F>;
  LangevinStep s;
  bool batch_norms = false;

  LangevinProblem(int n, int per_image, bool guided = false) : LangevinProblem(Base(n, per_image, guided)) {}
  explicit LangevinProblem(const Base& base) : Base(base) {
    s.alpha = 0.75f, s.snr = 0.3f, s.sigma = 0.7f, s.noise_step = 9;
  }

  double z(size_t i) const { return this->noise(Purpose::corrector_noise, s.noise_step, i); }

  /// [N,2]: |z|^2 and |D_0 - x|^2.
  std::vector<double> expected_norms() const {
    const std::vector<double> d0 = this->denoised();
    std::vector<double> result(size_t(2 * this->n), 0.0);
    for (size_t i = 0; i < d0.size(); ++i) {
      const size_t image = i / size_t(this->per_image);
      result[2 * image] += std::pow(z(i), 2), result[2 * image + 1] += std::pow(d0[i] - this->x[i], 2);
    }
    return result;
  }

  std::vector<double> expected() const {
    const std::vector<double> d0 = this->denoised(), norms = expected_norms();
    double mean_noise = 0, mean_drift = 0;
    for (size_t i = 0; i < norms.size(); i += 2)
      mean_noise += std::sqrt(norms[i]) / this->n, mean_drift += std::sqrt(norms[i + 1]) / this->n;
    std::vector<double> result;
    for (size_t i = 0; i < d0.size(); ++i) {
      const size_t image = i / size_t(this->per_image);
      // As the paper has it: e = 2 alpha (snr |z| / |score|)^2, x + e score + sqrt(2 e) z, for a = 1.
      const double drift = batch_norms ? mean_drift : std::sqrt(norms[2 * image + 1]);
      const double noise = batch_norms ? mean_noise : std::sqrt(norms[2 * image]);
      const double variance = std::pow(double(s.sigma), 2), score_norm = drift / variance;
      const double e = 2 * double(s.alpha) * std::pow(double(s.snr) * noise / score_norm, 2);
      result.push_back(this->x[i] + e * (d0[i] - this->x[i]) / variance + std::sqrt(2 * e) * z(i));
    }
    return result;
  }

  LangevinOperands operands(Out norms, Out x_out) const {
    return {.x = this->x.in(),
            .network = {.f = this->f.in()},
            .guide = {.f = this->guided ? this->guide_f.in() : In{}},
            .limit = this->limits ? this->limit.in() : In{},
            .seeds = this->seeds.data(),
            .norms = norms,
            .x_out = x_out};
  }

  void run(const LangevinOperands& o, int threads = 2) const {
    CpuStream stream(threads);
    LangevinStep step = s;
    this->write_to(step);
    const LangevinDims d{this->n, this->per_image, batch_norms};
    langevin_norms(stream, d, &step, o);
    langevin_update(stream, d, &step, o);
  }
  Array<A> moved(int threads = 2) const {
    Array<A> norms(size_t(2 * this->n)), y(this->x.size());
    run(operands(norms.out(), y.out()), threads);
    return y;
  }
};

template <class Next, class A, class F>
void check_langevin(LangevinProblem<A, F> p) {
  CAPTURE(p.per_image);
  CAPTURE(p.guided);
  CAPTURE(p.limits);
  CAPTURE(p.batch_norms);
  Array<A> norms(size_t(2 * p.n)), y(p.x.size());
  Array<Next> next(y.size()), guide_next(y.size());
  Array<float> c_noise(size_t(p.n)), guide_c_noise(size_t(p.n));
  LangevinOperands o = p.operands(norms.out(), y.out());
  o.network.next_in = next.out(), o.network.next_c_noise = c_noise.out();
  if (p.guided) o.guide.next_in = guide_next.out(), o.guide.next_c_noise = guide_c_noise.out();
  p.run(o);
  // z is an f32 number, written here by other machine code than there; D_0 has terms up to about 16.
  const double noise = 64 * epsilon<float>();
  check_close(norms, p.expected_norms(), noise + 128 * epsilon<A>(), 0);
  check_close(y, p.expected(), 4 * epsilon<A>(), 2 * noise + 128 * epsilon<A>());
  check_next(p.network, y, next, c_noise);
  if (p.guided) check_next(p.guide, y, guide_next, guide_c_noise);
  CHECK(p.moved(1).same_bits(y));
  LangevinProblem<A, F> q = p;
  q.run(q.operands(norms.out(), q.x.out()));
  CHECK(q.x.same_bits(y));
}

}  // namespace

TEST_CASE("langevin: norms and the step that they give") {
  for (const bool guided : {false, true})
    for (const bool limits : {false, true})
      for (const bool batch_norms : {false, true})
        for (const int d : {1, 6, 2048, 4099}) {
          const auto check = [&](auto next, auto problem) {
            problem.limits = limits, problem.batch_norms = batch_norms, problem.guidance = 2.5f;
            check_langevin<decltype(next)>(problem);
          };
          check(float{}, LangevinProblem<float, float>(3, d, guided));
          check(bf16{}, LangevinProblem<float, bf16>(3, d, guided));
          check(double{}, LangevinProblem<double, double>(3, d, guided));
        }
}

TEST_CASE("langevin: nothing moves where snr is 0, nor where D_0 is x") {
  LangevinProblem<float, float> p(2, 301);
  p.x.data()[3] = -0.0f;
  p.s.snr = 0;
  CHECK(p.moved().same_bits(p.x));
  p.network.skip = 1, p.network.out = 0;  // D_0 = x
  CHECK(p.moved().same_bits(p.x));
  p.s.snr = 0.3f;
  CHECK(p.moved().same_bits(p.x));
  p.batch_norms = true;
  CHECK(p.moved().same_bits(p.x));
}

TEST_CASE("langevin: a NaN is seen, in its image or, with the batch's norms, in all") {
  for (const bool batch_norms : {false, true})
    for (const bool limits : {false, true}) {
      LangevinProblem<float, float> p(3, 301);
      p.batch_norms = batch_norms, p.limits = limits;
      p.f.data()[301 + 5] = std::numeric_limits<float>::quiet_NaN();
      const Array<float> y = p.moved();
      int wrong = 0;
      for (size_t i = 0; i < y.size(); ++i) wrong += std::isnan(y[i]) != (batch_norms || i / 301 == 1);
      CHECK(wrong == 0);
    }
}

TEST_CASE("langevin: an image depends on its seed alone, unless the batch's norms are asked for") {
  LangevinProblem<float, float> all(5, 3001, true);
  all.limits = true, all.guidance = 2;
  LangevinProblem<float, float> single(all.alone(2));
  const Array<float> alone = single.moved();
  CHECK(alone.same_bits(all.part(all.moved(), 2)));
  all.batch_norms = true;
  CHECK(!alone.same_bits(all.part(all.moved(), 2)));
  single.batch_norms = true;
  CHECK(single.moved().same_bits(alone));
  single.seeds[0] += 1;
  CHECK(!single.moved().same_bits(alone));
  single.seeds[0] -= 1, single.s.noise_step += 1;
  CHECK(!single.moved().same_bits(alone));
}

TEST_CASE("langevin: with a Gaussian's exact denoiser the variance becomes P (1 + alpha snr^2)") {
  const double data = 0.25, sigma = 0.8, wanted = data + sigma * sigma;  // P
  const int d = 100000, n = 2, steps = 40;
  for (const float alpha : {1.0f, 0.5f})
    for (const bool batch_norms : {false, true}) {
      CAPTURE(alpha);
      CAPTURE(batch_norms);
      LangevinProblem<float, float> p(n, d);
      p.network = {float(data / wanted), 0, 1, 0};
      p.batch_norms = batch_norms;
      p.s.alpha = alpha, p.s.sigma = float(sigma), p.s.snr = 0.4f;
      double variance = 0;  // mean over the images and the last ten steps
      for (int step = 0; step < steps; ++step) {
        p.s.noise_step = uint32_t(step);
        p.x = p.moved();
        if (step < steps - 10) continue;
        for (size_t i = 0; i < p.x.size(); ++i) variance += p.x[i] * p.x[i] / (10.0 * n * d);
      }
      // A single image's variance would have the relative deviation sqrt(2/d).
      const double expected = wanted * (1 + double(alpha) * std::pow(double(p.s.snr), 2));
      CHECK(std::abs(variance / expected - 1) < 5 * std::sqrt(2.0 / d));
    }
}

TEST_CASE("langevin says which operand is missing") {
  const LangevinProblem<float, float> p(1, 8);
  Array<float> norms(2), y(8);
  const auto refused = [&](const char* why, auto change) {
    LangevinOperands o = p.operands(norms.out(), y.out());
    change(o);
    CHECK_THROWS_WITH(p.run(o), why);
  };
  refused("langevin: the network's output f or its input x is missing", [](auto& o) { o.network.f = {}; });
  refused("langevin: the network's output f or its input x is missing", [](auto& o) { o.x = {}; });
  refused("langevin: noise needs a seed for each image", [](auto& o) { o.seeds = nullptr; });
  refused("langevin: the norms are missing", [](auto& o) { o.norms = {}; });
  refused("langevin: x_out is missing", [](auto& o) { o.x_out = {}; });
  refused("langevin: a guide's next input needs the network's", [&](auto& o) { o.guide.next_in = y.out(); });
}
