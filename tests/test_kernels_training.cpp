#include <algorithm>

#include "kernels/adamw.h"
#include "kernels/make_batch.h"
#include "kernels/sde_update.h"
#include "kernels/squared_error.h"
#include "network_problem.h"

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
                  .flags = decayed.data(),
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

TEST_CASE("radam: the first moment alone, then rectified steps, as published") {
  CpuStream stream(1);
  AdamWOptions o;
  o.clip = 0, o.rectified = true, o.beta2 = 0.9f;  // l_inf = 19: above 5 from the sixth step on
  Parameters p(100);
  const double beta1 = double(o.beta1), beta2 = double(o.beta2), most = 2 / (1 - beta2) - 1;
  double w = p.w[3], m = 0, v = 0;
  int plain = 0;
  for (int t = 1; t <= 12; ++t) {
    p.set_gradient(uint64_t(t), 1);
    p.step(stream, o, {});
    const double g = p.g[3];
    m = beta1 * m + (1 - beta1) * g, v = beta2 * v + (1 - beta2) * g * g;
    const double first = m / (1 - std::pow(beta1, t)), second = v / (1 - std::pow(beta2, t));
    const double l = most - 2 * t * std::pow(beta2, t) / (1 - std::pow(beta2, t));
    plain += l <= 5;
    const double factor = l > 5 ? std::sqrt((l - 4) * (l - 2) * most / ((most - 4) * (most - 2) * l)) /
                                      (std::sqrt(second) + 1e-8)
                                : 1;
    w -= double(1e-3f) * factor * first;
    CHECK(double(p.w[3]) == doctest::Approx(w).epsilon(1e-5));
  }
  CHECK((plain > 2 && plain < 8));
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
  make_batch(stream, d, {pixels.data(), recipes.data()}, {}, input.out(), target.out());
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
  make_batch(stream, single, {pixels.data(), &recipes[2]}, {}, alone.out(), alone_target.out());
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
  make_batch(stream, d, {pixels.data(), &r}, {}, input.out(), target.out());
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

/// A step's operands, and x' in f64.
template <class A, class F>
struct SdeProblem : NetworkProblem<A, F> {
  using Base = NetworkProblem<A, F>;
  int history_count;
  bool prior = false;  // there is neither start nor f
  SdeStep s;
  Array<A> start;
  std::vector<Array<A>> history;

  SdeProblem(int n, int per_image, int history_count, bool guided = false)
      : SdeProblem(Base(n, per_image, guided), history_count) {}
  SdeProblem(const Base& base, int history_count)
      : Base(base), history_count(history_count), start(normals(base.x.size(), 1)) {
    s.a = 0.9f, s.c = 0.3f, s.noise_step = 5;
    s.b[0] = 0.5f, s.b[1] = -0.25f, s.b[2] = 2, s.b[3] = -1.125f;
    s.b_raw = 0.375f;
    for (int k = 0; k < kSdeHistory; ++k) history.emplace_back(normals(start.size(), 10 + uint64_t(k)));
  }

  std::vector<double> expected() const {
    const std::vector<double> d0 = this->denoised(), raw = this->denoised(false);
    std::vector<double> result;
    for (size_t i = 0; i < start.size(); ++i) {
      double sum = prior ? 0 : double(s.a) * start[i] + double(s.b[0]) * d0[i] + double(s.b_raw) * raw[i];
      for (int k = 0; k < history_count; ++k) sum += double(s.b[1 + k]) * history[size_t(k)][i];
      result.push_back(sum + double(s.c) * this->noise(Purpose::sampler_noise, s.noise_step, i));
    }
    return result;
  }

  SdeUpdateOperands operands(Out x_out) const {
    SdeUpdateOperands o;
    if (!prior) o.start = start.in(), o.x = this->x.in(), o.network.f = this->f.in();
    if (!prior && this->guided) o.guide.f = this->guide_f.in();
    if (this->limits) o.limit = this->limit.in();
    for (int k = 0; k < std::min(history_count, kSdeHistory); ++k) o.history[k] = history[size_t(k)].in();
    o.seeds = this->seeds.data(), o.x_out = x_out;
    return o;
  }

  void run(const SdeUpdateOperands& o) const {
    CpuStream stream(2);
    SdeStep step = s;
    this->write_to(step);
    sde_update(stream, {this->n, this->per_image, history_count, Purpose::sampler_noise}, &step, o);
  }
};

/// All results of a problem against f64. Numbers reach about 32, so that is what roundings are measured by.
template <class Next, class A, class F>
void check_sde(SdeProblem<A, F> p) {
  CAPTURE(p.history_count);
  CAPTURE(p.guided);
  CAPTURE(p.guidance);
  CAPTURE(p.limits);
  CAPTURE(p.prior);
  Array<A> y(p.start.size()), denoised(p.prior ? 0 : p.start.size());
  Array<Next> next(p.start.size()), guide_next(p.start.size());
  Array<float> c_noise(size_t(p.n)), guide_c_noise(size_t(p.n));
  SdeUpdateOperands o = p.operands(y.out());
  if (!p.prior) o.denoised = denoised.out();
  o.network.next_in = next.out(), o.network.next_c_noise = c_noise.out();
  if (p.guided) o.guide.next_in = guide_next.out(), o.guide.next_c_noise = guide_c_noise.out();
  p.run(o);
  check_close(y, p.expected(), 4 * epsilon<A>(), 32 * epsilon<float>() * p.s.c + 128 * epsilon<A>());
  if (!p.prior) check_close(denoised, p.denoised(), 4 * epsilon<A>(), 128 * epsilon<A>());
  check_next(p.network, y, next, c_noise);
  if (p.guided) check_next(p.guide, y, guide_next, guide_c_noise);
  if (p.prior) return;
  SdeProblem<A, F> q = p;
  q.run(q.operands(q.start.out()));
  CHECK(q.start.same_bits(y));
  q = p;
  q.run(q.operands(q.x.out()));
  CHECK(q.x.same_bits(y));
}

}  // namespace

TEST_CASE("sde_update: a network's output, its history, noise, and the network's next input") {
  const int d = 2048 + 4 + 1;  // a tile, and not a whole block of Philox
  for (int history = 0; history <= kSdeHistory; ++history) {
    check_sde<float>(SdeProblem<float, float>(3, d, history));
    check_sde<bf16>(SdeProblem<float, bf16>(3, d, history));
    check_sde<double>(SdeProblem<double, double>(3, d, history));
  }
  check_sde<bf16>(SdeProblem<float, float>(3, d, 1));
  check_sde<float>(SdeProblem<float, bf16>(3, d, 1));
}

TEST_CASE("sde_update: a guide with numbers of its own, and a limit after guidance") {
  const int d = 2048 + 4 + 1;
  for (const float guidance : {0.0f, 1.0f, 2.5f})
    for (const bool limits : {false, true})
      for (const bool guided : {false, true}) {
        if (!guided && guidance != 1) continue;
        const auto check = [&](auto next, auto problem) {
          problem.guidance = guidance, problem.limits = limits;
          check_sde<decltype(next)>(problem);
          // Both sides of the limit are met, or this would test one of them.
          if (!limits) return;
          const std::vector<double> d0 = problem.denoised();
          const auto clamped = std::count_if(d0.begin(), d0.end(), [](double v) { return std::abs(v) == 1; });
          CHECK((clamped > 100 && clamped < std::ptrdiff_t(d0.size()) - 100));
        };
        check(float{}, SdeProblem<float, float>(3, d, 1, guided));
        check(bf16{}, SdeProblem<float, bf16>(3, d, 3, guided));
        check(double{}, SdeProblem<double, double>(3, d, 2, guided));
      }
}

TEST_CASE("sde_update: a NaN is no number that a limit could clamp") {
  const int d = 301;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const bool guided : {false, true}) {
    SdeProblem<float, float> p(2, d, 0, guided);
    p.limits = true;
    p.f.data()[7] = nan;
    p.limit.data()[1] = nan;
    Array<float> y(p.start.size()), denoised(p.start.size());
    SdeUpdateOperands o = p.operands(y.out());
    o.denoised = denoised.out();
    p.run(o);
    int wrong = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const bool broken = i == 7 || i >= d;
      wrong += std::isnan(y[i]) != broken || std::isnan(denoised[i]) != broken;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("sde_update: without start and network what remains is noise, a prior") {
  for (const bool guided : {false, true}) {
    SdeProblem<float, bf16> p(3, 301, 0, guided);
    p.prior = true, p.s.c = 80;
    check_sde<bf16>(p);
  }
}

TEST_CASE("sde_update: an image depends on its seed alone, and without noise on no seed") {
  const int d = 3001;
  for (const bool guided : {false, true}) {
    SdeProblem<float, float> all(5, d, 3, guided);
    all.guidance = 2, all.limits = true;
    Array<float> y(all.start.size());
    all.run(all.operands(y.out()));
    SdeProblem<float, float> single(all.alone(2), 3);
    single.start = all.part(all.start, 2);
    for (size_t k = 0; k < kSdeHistory; ++k) single.history[k] = all.part(all.history[k], 2);
    const auto run = [&](uint64_t seed) {
      single.seeds = {seed};
      Array<float> result(d);
      single.run(single.operands(result.out()));
      return result;
    };
    const Array<float> alone = run(all.seeds[2]);
    CHECK(alone.same_bits(all.part(y, 2)));
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

TEST_CASE("sde_update says which operand is missing, and which do not fit together") {
  SdeProblem<float, float> p(1, 8, 2, true);
  Array<float> y(8);
  Array<bf16> other(8);
  const SdeUpdateOperands whole = p.operands(y.out());
  const auto refused = [&](const char* why, auto change) {
    SdeUpdateOperands o = whole;
    change(o);
    CHECK_THROWS_WITH(p.run(o), why);
  };
  const char* const pair =
      "sde_update: the network's output f and its input x are given together or not at all";
  refused(pair, [](auto& o) { o.network.f = {}; });
  refused(pair, [](auto& o) { o.x = {}; });
  refused("sde_update: a guide's output f needs the network's", [](auto& o) { o.x = {}, o.network.f = {}; });
  refused("sde_update: a guide's next input needs the network's",
          [&](auto& o) { o.guide.next_in = y.out(); });
  refused("sde_update: the network's output f is f32, its guide's bf16; they have one element type",
          [&](auto& o) { o.guide.f = other.in(); });
  refused("sde_update: the network's next input is f32, its guide's bf16; they have one element type",
          [&](auto& o) { o.network.next_in = y.out(), o.guide.next_in = other.out(); });
  refused("sde_update: a limit is of D_0, which needs the network's output f",
          [&](auto& o) { o.x = {}, o.network.f = {}, o.guide.f = {}, o.limit = p.limit.in(); });
  refused("sde_update: the limit is bf16, x is f32; they have one element type",
          [&](auto& o) { o.limit = other.in(); });
  refused("sde_update: x_out is missing", [](auto& o) { o.x_out = {}; });
  refused("sde_update: history 1 of 2 is missing", [](auto& o) { o.history[1] = {}; });
  refused("sde_update: noise (c != 0) needs a seed for each image", [](auto& o) { o.seeds = nullptr; });
  p.history_count = 4;
  CHECK_THROWS_AS(p.run(whole), Error);
  p.history_count = 2, p.n = 0;
  CHECK_THROWS_AS(p.run(whole), Error);
}
