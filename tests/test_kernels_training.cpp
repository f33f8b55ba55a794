#include <algorithm>

#include "kernel_arrays.h"
#include "kernels/adamw.h"
#include "kernels/make_batch.h"
#include "kernels/sde_update.h"
#include "kernels/squared_error.h"

using namespace ito;
using namespace ito::kernels;
using namespace ito::test;

TEST_CASE_TEMPLATE("squared_error and its gradient", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  const int n = 3, d = 16384 + 37;
  CpuStream one(1), two(2);
  const Array<T> y(normals(size_t(n) * d, 1));
  const Array<A> target(normals(y.size(), 2)), weight(std::vector<double>{0.5, 2, 1e-3}),
      upstream(std::vector<double>{0.25});
  Array<A> loss(n), total(1), loss1(n), total1(1);
  Array<T> dy(y.size());
  squared_error_forward(two, n, d, y.in(), target.in(), weight.in(), loss.out(), total.out());
  squared_error_forward(one, n, d, y.in(), target.in(), weight.in(), loss1.out(), total1.out());
  squared_error_backward(two, n, d, upstream.in(), y.in(), target.in(), weight.in(), dy.out());
  std::vector<double> losses(n, 0.0), gradient(y.size());
  for (size_t i = 0; i < y.size(); ++i) {
    const double e = y[i] - target[i], w = weight[i / d];
    losses[i / d] += w * e * e, gradient[i] = 0.25 * 2 * w * e;
  }
  const double tiny = 1e-13;
  check_close(loss, losses, epsilon<A>() + tiny, 0);
  check_close(total, {losses[0] + losses[1] + losses[2]}, epsilon<A>() + tiny, 0);
  check_close(dy, gradient, epsilon<T>() + 3 * epsilon<A>(), 0);
  CHECK(loss1.same_bits(loss));
  CHECK(total1.same_bits(total));
}

namespace {

/// Plain AdamW in f64.
struct AdamWReference {
  AdamWOptions o;
  std::vector<double> w, m, v, ema;
  double norm = 0;
  int updates = 0;

  void step(const std::vector<double>& grad, const std::vector<uint8_t>& decayed, double rate,
            double ema_decay) {
    ++updates;
    double sum = 0;
    for (const double g : grad) sum += g * g;
    norm = std::sqrt(sum);
    const double scale = o.clip > 0 ? std::min(1.0, o.clip / norm) : 1, b1 = o.beta1, b2 = o.beta2;
    for (size_t i = 0; i < w.size(); ++i) {
      const double g = grad[i] * scale;
      m[i] = b1 * m[i] + (1 - b1) * g, v[i] = b2 * v[i] + (1 - b2) * g * g;
      const double mh = m[i] / (1 - std::pow(b1, updates)), vh = v[i] / (1 - std::pow(b2, updates));
      const double decay = decayed[i / kParameterAlign] ? double(o.weight_decay) * w[i] : 0;
      w[i] -= rate * (mh / (std::sqrt(vh) + o.eps) + decay);
      ema[i] = ema_decay == 0 ? w[i] : ema_decay * ema[i] + (1 - ema_decay) * w[i];
    }
  }
};

StepState step_state(const AdamWOptions& o, int updates, float rate, float ema_decay) {
  StepState s;
  s.learning_rate = rate, s.ema_decay = ema_decay;
  s.bias_correction1 = float(1 - std::pow(double(o.beta1), updates));
  s.bias_correction2 = float(1 - std::pow(double(o.beta2), updates));
  return s;
}

/// The engine's state: parameters, gradient, moments and average, with their decay flags.
struct Parameters {
  Array<float> w, g, m, v, ema;
  std::vector<uint8_t> decayed;
  explicit Parameters(size_t count)
      : w(normals(count, 1, 0, 0.1)),
        g(count),
        m(std::vector<double>(count, 0.0)),
        v(m),
        ema(count),
        decayed(count / 16 + 1) {
    for (size_t i = 0; i < decayed.size(); ++i) decayed[i] = i % 3 == 0;
  }
  void set_gradient(uint64_t seed, double size) { g = Array<float>(normals(w.size(), seed, 0, size)); }
  void step(CpuStream& stream, const AdamWOptions& o, StepState* s) {
    const int64_t count = int64_t(w.size());
    gradient_norm(stream, count, g.data(), s);
    adamw_update(stream, count, o, s, g.data(), decayed.data(), w.data(), m.data(), v.data(), ema.data());
  }
  bool same_bits(const Parameters& p) const {
    return w.same_bits(p.w) && m.same_bits(p.m) && v.same_bits(p.v) && ema.same_bits(p.ema);
  }
};

}  // namespace

TEST_CASE("adamw follows an f64 optimizer for a thousand steps") {
  const size_t count = 1003;  // not whole blocks
  AdamWOptions o;
  o.weight_decay = 0.1f, o.clip = 1;
  CpuStream stream(2);
  Parameters p(count);
  AdamWReference r{o, p.w.values(), std::vector<double>(count, 0.0), std::vector<double>(count, 0.0),
                   std::vector<double>(count, 0.0)};
  int clipped = 0;
  for (int step = 1; step <= 1000; ++step) {
    p.set_gradient(uint64_t(100 + step),
                   step % 2 ? 0.1 : 0.01);      // norms 3.2 and 0.32: clipped every other step
    const float decay = step == 1 ? 0 : 0.99f;  // the first step fills the average, NaN so far
    StepState s = step_state(o, step, 1e-3f, decay);
    p.step(stream, o, &s);
    r.step(p.g.values(), p.decayed, double(1e-3f), decay);
    REQUIRE(s.skipped == 0);
    REQUIRE(std::abs(s.grad_norm - r.norm) <= 1e-6 * r.norm);
    clipped += r.norm > 1;
  }
  CHECK(clipped == 500);
  // Weights of about 1 round a thousand times (random walk: 32 half-ulps); a moment keeps a few roundings of
  // its memory.
  const double walk = 32 * epsilon<float>();
  check_close(p.w, r.w, 4 * walk, 4 * walk);
  check_close(p.ema, r.ema, 4 * walk, 4 * walk);
  check_close(p.m, r.m, 1e-5, 1e-8);
  check_close(p.v, r.v, 1e-5, 1e-12);
}

TEST_CASE("adamw: any number of threads and two runs give the same bits; no clipping at 0") {
  const size_t count = 3 * 16384 + 5;
  AdamWOptions o;
  o.clip = 0, o.weight_decay = 0.01f;
  CpuStream one(1), two(2);
  Parameters a(count), b(count);
  a.set_gradient(5, 3), b.set_gradient(5, 3);
  StepState sa = step_state(o, 1, 1e-3f, 0), sb = sa;
  a.step(one, o, &sa), b.step(two, o, &sb);
  CHECK(sa.grad_norm == sb.grad_norm);
  CHECK(a.same_bits(b));
  const double g = a.g[7];
  CHECK(a.m[7] == doctest::Approx(0.1 * g).epsilon(1e-6));  // not clipped
  CHECK(a.ema.same_bits(a.w));
  CHECK(a.w.guards_intact());
  CHECK(a.ema.guards_intact());
}

TEST_CASE("adamw leaves everything as it is where the gradient is not finite") {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    CpuStream stream(2);
    AdamWOptions o;
    Parameters p(100);
    p.set_gradient(1, 1);
    StepState s = step_state(o, 1, 1e-3f, 0);
    p.step(stream, o, &s);
    CHECK(s.skipped == 0);
    const Parameters before = p;
    p.g.data()[99] = bad;
    p.step(stream, o, &s);
    CHECK(s.skipped == 1);
    CHECK(!std::isfinite(s.grad_norm));
    CHECK(p.same_bits(before));
    p.set_gradient(2, 1e30);  // squares beyond f32: still a norm
    p.step(stream, o, &s);
    CHECK(s.skipped == 0);
    CHECK(s.grad_norm == doctest::Approx(1e31).epsilon(0.3));
  }
}

TEST_CASE_TEMPLATE("make_batch: pixels, mirror, noise and coefficients", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  const MakeBatchDims d{3, 5, 7, 3, 77, Purpose::diffusion_noise, 12};
  const int image = 5 * 7 * 3;
  std::vector<uint8_t> pixels(4 * image);
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = uint8_t(random_block({1, Purpose::test, 0, 0}, uint32_t(i)).v[0]);
  pixels[0] = 0, pixels[1] = 255;
  const std::vector<SampleRecipe> recipes{
      {2, 40, 0, 0.5f, 3, 1, 0}, {0, 41, 1, 1, 0, 0, 1}, {3, 42, 1, 0.25f, 0.75f, -1, 2}};
  CpuStream stream(2);
  Array<T> input(3 * image);
  Array<A> target(3 * image);
  make_batch(stream, d, pixels.data(), recipes.data(), input.out(), target.out());
  std::vector<double> inputs, targets;
  for (const SampleRecipe& r : recipes) {
    for (int e = 0; e < image; ++e) {
      const int j = e % 3, q = e / 3 % 7, row = e / 21;
      const double x0 = pixels[r.image * image + (row * 7 + (r.flip ? 6 - q : q)) * 3 + j] / 127.5 - 1;
      float z[4];
      normal_block({77, Purpose::diffusion_noise, 12, r.noise_sample}, uint32_t(e / 4), z);
      inputs.push_back(r.input_x0 * x0 + r.input_z * double(z[e % 4]));
      targets.push_back(r.target_x0 * x0 + r.target_z * double(z[e % 4]));
    }
  }
  const double noise =
      32 * epsilon<float>();  // z is an f32 number, written here by other machine code than there
  check_close(input, inputs, epsilon<T>(), noise);
  check_close(target, targets, epsilon<A>(), noise);

  MakeBatchDims single = d;
  single.n = 1;
  Array<T> alone(image);
  Array<A> alone_target(image);
  make_batch(stream, single, pixels.data(), &recipes[2], alone.out(), alone_target.out());
  CHECK(std::memcmp(alone.data(), input.data() + 2 * image, image * sizeof(T)) == 0);
  CHECK(std::memcmp(alone_target.data(), target.data() + 2 * image, image * sizeof(A)) == 0);
}

TEST_CASE("make_batch: black is -1, white is 1, rows longer than a tile") {
  const MakeBatchDims d{1, 2, 700, 3, 1, Purpose::validation, 0};
  std::vector<uint8_t> pixels(2 * 700 * 3, 0);
  std::fill(pixels.begin() + 2100, pixels.end(), 255);
  const SampleRecipe r{0, 0, 1, 1, 0, 0, 1};
  CpuStream stream(2);
  Array<float> input(4200), target(4200);
  make_batch(stream, d, pixels.data(), &r, input.out(), target.out());
  std::vector<double> expected(4200, -1.0), noise;
  std::fill(expected.begin() + 2100, expected.end(), 1.0);
  for (int e = 0; e < 4200; e += 4) {
    float z[4];
    normal_block({1, Purpose::validation, 0, 0}, uint32_t(e / 4), z);
    noise.insert(noise.end(), z, z + 4);
  }
  check_close(input, expected, 0, 0);
  check_close(target, noise, 0, 32 * epsilon<float>());
}

namespace {

/// x' in f64, and what the calls are given.
template <class A>
struct SdeProblem {
  SdeUpdateDims d;
  SdeCoefficients c;
  Array<A> x, f0, f1, f2;
  std::vector<uint64_t> seeds;

  SdeProblem(int n, int per_image, int terms)
      : d{n, per_image, terms, Purpose::sampler_noise, 5},
        c{0.9f, {0.5f, -0.25f, 2}, 0.3f, 0.125f},
        x(normals(size_t(n) * per_image, 1)),
        f0(normals(x.size(), 2)),
        f1(normals(x.size(), 3)),
        f2(normals(x.size(), 4)) {
    for (int i = 0; i < n; ++i) seeds.push_back(1000 + uint64_t(i) * (1ull << 33));
  }

  std::vector<double> expected() const {
    std::vector<double> result;
    const Array<A>* f[3] = {&f0, &f1, &f2};
    for (size_t i = 0; i < x.size(); ++i) {
      const uint32_t e = uint32_t(i % d.per_image);
      float z[4];
      normal_block({seeds[i / d.per_image], d.purpose, d.step, 0}, e / 4, z);
      double sum = double(c.a) * x[i] + double(c.c) * z[e % 4];
      for (int k = 0; k < d.terms; ++k) sum += double(c.b[k]) * (*f[k])[i];
      result.push_back(sum);
    }
    return result;
  }

  void run(Out x_out, Out next) {
    CpuStream stream(2);
    const In f[kMaxSdeTerms] = {f0.in(), f1.in(), f2.in()};
    sde_update(stream, d, c, x.in(), f, seeds.data(), x_out, next);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("sde_update: up to three terms, noise, and the network's next input", A, float, double) {
  for (int terms = 0; terms <= 3; ++terms) {
    SdeProblem<A> p(3, 2048 + 4 + 1, terms);
    const std::vector<double> expected = p.expected();
    Array<A> y(p.x.size());
    Array<float> next(p.x.size());
    Array<bf16> narrow(p.x.size());
    p.run(y.out(), next.out());
    check_close(y, expected, 4 * epsilon<A>(), 32 * epsilon<float>() * p.c.c + 16 * epsilon<A>());
    std::vector<double> scaled = y.values();
    for (double& v : scaled) v *= 0.125;
    check_close(next, scaled, epsilon<float>(), 0);
    p.run(y.out(), narrow.out());
    check_close(narrow, scaled, epsilon<bf16>() + epsilon<float>(), 0);
    p.run(p.x.out(), {});
    CHECK(p.x.same_bits(y));
  }
}

TEST_CASE("sde_update: an image depends on its seed alone, and without noise on no seed") {
  SdeProblem<float> all(5, 3001, 2);
  Array<float> y(all.x.size());
  all.run(y.out(), {});
  SdeProblem<float> single(1, 3001, 2);
  const auto third = [](const Array<float>& a) {
    const std::vector<double> values = a.values();
    return Array<float>(std::vector<double>(values.begin() + 2 * 3001, values.begin() + 3 * 3001));
  };
  single.x = third(all.x), single.f0 = third(all.f0), single.f1 = third(all.f1),
  single.seeds = {all.seeds[2]};
  Array<float> alone(3001);
  single.run(alone.out(), {});
  CHECK(alone.same_bits(third(y)));
  single.seeds = {all.seeds[3]};
  Array<float> other(3001), quiet(3001), quiet_other(3001);
  single.run(other.out(), {});
  CHECK(!other.same_bits(alone));
  single.c.c = 0;
  single.run(quiet.out(), {});
  single.seeds = {1};
  single.run(quiet_other.out(), {});
  CHECK(quiet.same_bits(quiet_other));
  single.d.terms = 4;
  CHECK_THROWS_AS(single.run(quiet.out(), {}), Error);
}
