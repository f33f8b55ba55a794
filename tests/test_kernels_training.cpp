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
  const SquaredErrorOperands operands{.y = y.in(), .target = target.in(), .weight = weight.in()};
  squared_error_forward(two, n, d, operands, loss.out(), total.out());
  squared_error_forward(one, n, d, operands, loss1.out(), total1.out());
  squared_error_backward(two, n, d, upstream.in(), operands, dy.out());
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

/// Plain AdamW and its moving average in f64.
struct AdamWReference {
  AdamWOptions o;
  EmaOptions average;
  std::vector<double> w, m, v, ema;
  double norm = 0;
  int updates = 0;

  AdamWReference(const AdamWOptions& o, const EmaOptions& average, const std::vector<double>& w)
      : o(o), average(average), w(w), m(w.size(), 0.0), v(w.size(), 0.0), ema(w) {}

  void step(const std::vector<double>& grad, const std::vector<uint8_t>& decayed, double rate) {
    const double warm = average.warm_start ? (1.0 + updates) / (10.0 + updates) : 1;
    const double ema_decay = std::min(average.decay, warm);
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
      ema[i] = ema_decay * ema[i] + (1 - ema_decay) * w[i];
    }
  }
};

/// The engine's state: parameters, gradient, moments, average and rounded weights, with their decay flags.
struct Parameters {
  Array<float> w, g, m, v, ema;
  Array<bf16> half;
  std::vector<uint8_t> decayed;
  StepState state;
  explicit Parameters(size_t count)
      : w(normals(count, 1, 0, 0.1)),
        g(count),
        m(std::vector<double>(count, 0.0)),
        v(m),
        ema(w),
        half(count),
        decayed(count / 16 + 1) {
    for (size_t i = 0; i < decayed.size(); ++i) decayed[i] = i % 3 == 0;
  }
  void set_gradient(uint64_t seed, double size) { g = Array<float>(normals(w.size(), seed, 0, size)); }
  void step(CpuStream& stream, const AdamWOptions& o, const EmaOptions& average) {
    const int64_t count = int64_t(w.size());
    const StepInput input{0, 1e-3f};
    gradient_norm(stream, count, o, average, g.data(), &state, nullptr);
    adamw_update(stream, count, o, &input, &state,
                 {.grad = g.data(),
                  .decayed = decayed.data(),
                  .w = w.data(),
                  .m = m.data(),
                  .v = v.data(),
                  .ema = ema.data(),
                  .half = half.data()});
  }
  bool same_bits(const Parameters& p) const {
    return w.same_bits(p.w) && m.same_bits(p.m) && v.same_bits(p.v) && ema.same_bits(p.ema) &&
           half.same_bits(p.half);
  }
};

}  // namespace

TEST_CASE("adamw follows an f64 optimizer for a thousand steps") {
  const size_t count = 1003;  // not whole blocks
  AdamWOptions o;
  o.weight_decay = 0.1f, o.clip = 1;
  CpuStream stream(2);
  for (const EmaOptions& average : {EmaOptions{0.98, true}, {0.99, false}}) {  // warm until step 440
    Parameters p(count);
    AdamWReference r(o, average, p.w.values());
    int clipped = 0;
    for (int step = 1; step <= 1000; ++step) {
      p.set_gradient(uint64_t(100 + step),
                     step % 2 ? 0.1 : 0.01);  // norms 3.2 and 0.32: clipped every other step
      p.step(stream, o, average);
      r.step(p.g.values(), p.decayed, double(1e-3f));
      REQUIRE(p.state.skipped == 0);
      REQUIRE(p.state.updates == uint64_t(step));
      REQUIRE(std::abs(p.state.grad_norm - r.norm) <= 1e-6 * r.norm);
      clipped += r.norm > 1;
    }
    CHECK(clipped == 500);
    // Weights of about 1 round a thousand times (random walk: 32 half-ulps); a moment keeps a few roundings
    // of its memory.
    const double walk = 32 * epsilon<float>();
    check_close(p.w, r.w, 4 * walk, 4 * walk);
    check_close(p.ema, r.ema, 4 * walk, 4 * walk);
    check_close(p.m, r.m, 1e-5, 1e-8);
    check_close(p.v, r.v, 1e-5, 1e-12);
    check_close(p.half, p.w.values(), epsilon<bf16>(), 0);
  }
}

TEST_CASE("adamw: any number of threads and two runs give the same bits; no clipping at 0") {
  const size_t count = 3 * 16384 + 5;
  AdamWOptions o;
  o.clip = 0, o.weight_decay = 0.01f;
  CpuStream one(1), two(2);
  Parameters a(count), b(count);
  a.set_gradient(5, 3), b.set_gradient(5, 3);
  a.ema = Array<float>(count), b.ema = a.ema;  // NaN: an average that decays at 0 copies
  a.step(one, o, {0, true}), b.step(two, o, {0, true});
  CHECK(a.state.grad_norm == b.state.grad_norm);
  CHECK(a.same_bits(b));
  const double g = a.g[7];
  CHECK(a.m[7] == doctest::Approx(0.1 * g).epsilon(1e-6));  // not clipped
  CHECK(a.ema.same_bits(a.w));
  CHECK(a.w.guards_intact());
  CHECK(a.ema.guards_intact());
  CHECK(a.half.guards_intact());
}

TEST_CASE("adamw leaves everything as it is where the gradient is not finite") {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    CpuStream stream(2);
    const AdamWOptions o;
    const EmaOptions average;
    Parameters p(100);
    p.set_gradient(1, 1);
    p.step(stream, o, average);
    CHECK(p.state.skipped == 0);
    const Parameters before = p;
    p.g.data()[99] = bad;
    p.step(stream, o, average);
    CHECK(p.state.skipped == 1);
    CHECK(!std::isfinite(p.state.grad_norm));
    CHECK(p.state.updates == 1);  // a skipped step is no update
    CHECK(p.same_bits(before));
    p.set_gradient(2, 1e30);  // squares beyond f32: still a norm
    p.step(stream, o, average);
    CHECK(p.state.skipped == 0);
    CHECK(p.state.updates == 2);
    CHECK(p.state.bias_correction1 == doctest::Approx(0.19).epsilon(1e-6));
    double squares = 0;
    for (const double g : p.g.values()) squares += g * g;
    CHECK(p.state.grad_norm == doctest::Approx(std::sqrt(squares)).epsilon(2 * epsilon<float>()));
    CHECK(!p.w.same_bits(before.w));
  }
}

TEST_CASE("the average's decay starts at a tenth and ends at its option") {
  StepState state;
  const auto decay_after = [&](uint64_t updates, const EmaOptions& average) {
    state.updates = updates;
    finish_gradient_norm(1, {}, average, &state);
    CHECK(state.updates == updates + 1);
    return double(state.ema_decay);
  };
  CHECK(decay_after(0, {0.9999, true}) == doctest::Approx(0.1));
  CHECK(decay_after(90, {0.9999, true}) == doctest::Approx(0.91));
  CHECK(decay_after(1000000, {0.9999, true}) == doctest::Approx(0.9999));
  CHECK(decay_after(0, {0.9999, false}) == doctest::Approx(0.9999));
}

TEST_CASE_TEMPLATE("make_batch: pixels, mirror, noise and coefficients", T, float, bf16, double) {
  using A = arithmetic_t<T>;
  const uint32_t step = 12;
  const MakeBatchDims d{3, 5, 7, 3, 77, Purpose::diffusion_noise, &step};
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
  const uint32_t step = 0;
  const MakeBatchDims d{1, 2, 700, 3, 1, Purpose::validation, &step};
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

/// A step's operands, and x' and D_0 in f64. f has the type F.
template <class A, class F>
struct SdeProblem {
  SdeUpdateDims d;
  SdeStep s;
  Array<A> start, x, d1, d2;
  Array<F> f;
  std::vector<uint64_t> seeds;
  bool prior = false;  // there is neither start nor f

  SdeProblem(int n, int per_image, int history, bool guided = false)
      : d{n, per_image, history, guided, Purpose::sampler_noise},
        start(normals(size_t(n) * per_image, 1)),
        x(normals(start.size(), 2)),
        d1(normals(start.size(), 3)),
        d2(normals(start.size(), 4)),
        f(normals(start.size() * (guided ? 2 : 1), 5)) {
    s.skip = 0.4f, s.out = -1.5f, s.a = 0.9f, s.c = 0.3f;
    s.b[0] = 0.5f, s.b[1] = -0.25f, s.b[2] = 2;
    s.next_scale = 0.125f, s.next_c_noise = -0.75f, s.noise_step = 5;
    for (int i = 0; i < n; ++i) seeds.push_back(1000 + uint64_t(i) * (1ull << 33));
  }

  std::vector<double> denoised() const {
    std::vector<double> result;
    for (size_t i = 0; i < start.size() && !prior; ++i) {
      const double null = d.guided ? f[start.size() + i] : 0;
      const double answer = d.guided ? null + double(s.guidance) * (f[i] - null) : f[i];
      result.push_back(double(s.skip) * x[i] + double(s.out) * answer);
    }
    return result;
  }

  std::vector<double> expected() const {
    const std::vector<double> d0 = denoised();
    std::vector<double> result;
    for (size_t i = 0; i < start.size(); ++i) {
      double sum = prior ? 0 : double(s.a) * start[i] + double(s.b[0]) * d0[i];
      if (d.history > 0) sum += double(s.b[1]) * d1[i];
      if (d.history > 1) sum += double(s.b[2]) * d2[i];
      const uint32_t e = uint32_t(i % d.per_image);
      float z[4];
      normal_block({seeds[i / d.per_image], d.purpose, s.noise_step, 0}, e / 4, z);
      result.push_back(sum + double(s.c) * z[e % 4]);
    }
    return result;
  }

  SdeUpdateOperands operands(Out x_out, Out next_in = {}) const {
    SdeUpdateOperands o;
    if (!prior) o.start = start.in(), o.x = x.in(), o.f = f.in();
    if (d.history > 0) o.history[0] = d1.in();
    if (d.history > 1) o.history[1] = d2.in();
    o.seeds = seeds.data(), o.x_out = x_out, o.next_in = next_in;
    return o;
  }

  void run(const SdeUpdateOperands& o) const {
    CpuStream stream(2);
    sde_update(stream, d, &s, o);
  }
};

/// All results of a problem against f64. Numbers reach about 16, so that is what roundings are measured by.
template <class A, class F>
void check_sde(SdeProblem<A, F> p) {
  CAPTURE(p.d.history);
  CAPTURE(p.d.guided);
  CAPTURE(p.s.guidance);
  CAPTURE(p.prior);
  const size_t copies = p.d.guided ? 2 : 1;
  Array<A> y(p.start.size()), denoised(p.prior ? 0 : p.start.size());
  Array<F> next(p.start.size() * copies);
  Array<float> c_noise(copies * p.d.n);
  SdeUpdateOperands o = p.operands(y.out(), next.out());
  if (!p.prior) o.denoised = denoised.out();
  o.next_c_noise = c_noise.out();
  p.run(o);
  check_close(y, p.expected(), 4 * epsilon<A>(), 32 * epsilon<float>() * p.s.c + 64 * epsilon<A>());
  check_close(denoised, p.denoised(), 4 * epsilon<A>(), 64 * epsilon<A>());
  std::vector<double> scaled;
  for (size_t copy = 0; copy < copies; ++copy)
    for (const double v : y.values()) scaled.push_back(0.125 * v);
  check_close(next, scaled, epsilon<F>(), 0);  // an eighth is exact: the only rounding is F's
  check_close(c_noise, std::vector<double>(copies * p.d.n, -0.75), 0, 0);
  const bool in_place = !p.prior;
  if (in_place) {
    SdeProblem<A, F> q = p;
    q.run(q.operands(q.start.out()));
    CHECK(q.start.same_bits(y));
    q = p;
    q.run(q.operands(q.x.out()));
    CHECK(q.x.same_bits(y));
  }
}

}  // namespace

TEST_CASE("sde_update: a network's output, its history, noise, and the network's next input") {
  const int d = 2048 + 4 + 1;  // a tile, and not a whole block of Philox
  for (int history = 0; history <= kSdeHistory; ++history) {
    check_sde(SdeProblem<float, float>(3, d, history));
    check_sde(SdeProblem<float, bf16>(3, d, history));
    check_sde(SdeProblem<double, double>(3, d, history));
  }
  for (const float guidance : {0.0f, 1.0f, 2.5f}) {
    const auto check_guided = [&](auto problem) {
      problem.s.guidance = guidance;
      check_sde(problem);
    };
    check_guided(SdeProblem<float, float>(3, d, 1, true));
    check_guided(SdeProblem<float, bf16>(3, d, 1, true));
    check_guided(SdeProblem<double, double>(3, d, 1, true));
  }
}

TEST_CASE("sde_update: without start and network what remains is noise, a prior") {
  for (const bool guided : {false, true}) {
    SdeProblem<float, bf16> p(3, 301, 0, guided);
    p.prior = true, p.s.c = 80;
    check_sde(p);
  }
}

TEST_CASE("sde_update: an image depends on its seed alone, and without noise on no seed") {
  const int d = 3001;
  for (const bool guided : {false, true}) {
    SdeProblem<float, float> all(5, d, 2, guided);
    all.s.guidance = 2;
    Array<float> y(all.start.size());
    all.run(all.operands(y.out()));
    SdeProblem<float, float> single(1, d, 2, guided);
    single.s = all.s;
    const auto image = [&](const Array<float>& a, std::initializer_list<int> numbers) {
      std::vector<double> values;
      for (const int i : numbers)
        for (int e = 0; e < d; ++e) values.push_back(a[size_t(i) * d + e]);
      return Array<float>(values);
    };
    single.start = image(all.start, {2}), single.x = image(all.x, {2}), single.d1 = image(all.d1, {2});
    single.d2 = image(all.d2, {2}), single.f = guided ? image(all.f, {2, 7}) : image(all.f, {2});
    const auto run = [&](uint64_t seed) {
      single.seeds = {seed};
      Array<float> result(d);
      single.run(single.operands(result.out()));
      return result;
    };
    const Array<float> alone = run(all.seeds[2]);
    CHECK(alone.same_bits(image(y, {2})));
    CHECK(!run(all.seeds[3]).same_bits(alone));
    single.s.c = 0;
    const Array<float> quiet = run(1);
    CHECK(quiet.same_bits(run(2)));
    Array<float> seedless(d);
    SdeUpdateOperands o = single.operands(seedless.out());
    o.seeds = nullptr;
    single.run(o);
    CHECK(seedless.same_bits(quiet));
  }
}

TEST_CASE("sde_update says which operand is missing") {
  SdeProblem<float, float> p(1, 8, 2);
  Array<float> y(8);
  const SdeUpdateOperands whole = p.operands(y.out());
  const auto without = [&](auto remove) {
    SdeUpdateOperands o = whole;
    remove(o);
    return [&p, o] { p.run(o); };
  };
  CHECK_THROWS_WITH(without([](auto& o) { o.f = {}; })(),
                    "sde_update: the network's output f and its input x are given together or not at all");
  CHECK_THROWS_WITH(without([](auto& o) { o.x = {}; })(),
                    "sde_update: the network's output f and its input x are given together or not at all");
  CHECK_THROWS_WITH(without([](auto& o) { o.x_out = {}; })(), "sde_update: x_out is missing");
  CHECK_THROWS_WITH(without([](auto& o) { o.history[1] = {}; })(), "sde_update: history 1 of 2 is missing");
  CHECK_THROWS_WITH(without([](auto& o) { o.seeds = nullptr; })(),
                    "sde_update: noise (c != 0) needs a seed for each image");
  p.d.history = 3;
  CHECK_THROWS_AS(p.run(whole), Error);
  p.d.history = 2, p.d.n = 0;
  CHECK_THROWS_AS(p.run(whole), Error);
}
