#include <doctest/doctest.h>

#include "kernels/adamw.h"
#include "tests/simt/compare.h"

using namespace ito;
using namespace ito::kernels;
using simt::count_wrong;
using simt::DeviceArray;
using simt::normals;
using simt::rounding;
using simt::same_bits;

namespace {

/// Everything a step changes.
struct Parameters {
  std::vector<float> w, m, v, ema;
  std::vector<bf16> half;
  StepState state;

  explicit Parameters(size_t count)
      : w(normals<float>(count, 0, 0.1)), m(count, 0.0f), v(count, 0.0f), ema(w), half(count) {}
  bool operator==(const Parameters& p) const {
    return same_bits(w, p.w) && same_bits(m, p.m) && same_bits(v, p.v) && same_bits(ema, p.ema) &&
           same_bits(half, p.half) && state.updates == p.state.updates &&
           state.bias_correction1 == p.state.bias_correction1 && state.ema_decay == p.state.ema_decay;
  }
};

struct Setting {
  AdamWOptions options;
  EmaOptions average;
  StepInput input{0, 1e-3f};
  size_t offset = 0;  // elements off the alignment of 16 bytes
};

/// A counter at 0, and whatever may be behind it.
std::vector<uint64_t> empty_scratch() {
  std::vector<uint64_t> words(kGradientNormScratch / 8, ~uint64_t(0));
  words[0] = 0;
  return words;
}

std::vector<uint8_t> flags(size_t count) {
  std::vector<uint8_t> decayed(count / kParameterAlign + 1);
  for (size_t i = 0; i < decayed.size(); ++i) decayed[i] = i % 3 == 0;
  return decayed;
}

/// Steps on the device, one with each gradient.
Parameters run(const Setting& s, const Parameters& before, const std::vector<std::vector<float>>& gradients,
               bool with_half = true) {
  CudaStream stream;
  const size_t count = before.w.size();
  DeviceArray<float> w(stream, before.w, s.offset), m(stream, before.m, s.offset),
      v(stream, before.v, s.offset), ema(stream, before.ema, s.offset);
  DeviceArray<bf16> half(stream, before.half, s.offset);
  DeviceArray<uint8_t> decayed(stream, flags(count));
  DeviceArray<StepInput> input(stream, std::vector<StepInput>{s.input});
  DeviceArray<StepState> state(stream, std::vector<StepState>{before.state});
  DeviceArray<uint64_t> scratch(stream, empty_scratch());
  for (const auto& g : gradients) {
    DeviceArray<float> grad(stream, g, s.offset);
    gradient_norm(stream, int64_t(count), s.options, s.average, grad.data(), state.data(), scratch.data());
    adamw_update(stream, int64_t(count), s.options, input.data(), state.data(),
                 {.grad = grad.data(),
                  .flags = decayed.data(),
                  .w = w.data(),
                  .m = m.data(),
                  .v = v.data(),
                  .ema = ema.data(),
                  .half = with_half ? half.data() : nullptr});
    CHECK(uint32_t(scratch.read()[0]) == 0);  // the counter, for the next step
    CHECK(same_bits(grad.read(), g));
  }
  Parameters after(0);
  after.w = w.read(), after.m = m.read(), after.v = v.read(), after.ema = ema.read(),
  after.half = half.read();
  after.state = state.read()[0];
  return after;
}

/// The same by the formulas, in f64.
struct Reference {
  std::vector<double> w, m, v, ema;
  double norm = 0;

  Reference(const Setting& s, const Parameters& before, const std::vector<std::vector<float>>& gradients) {
    w = simt::F64Array(before.w).v, ema = w, m = std::vector<double>(w.size(), 0.0), v = m;
    const auto decayed = flags(w.size());
    for (size_t step = 0; step < gradients.size(); ++step) {
      double sum = 0;
      for (const float g : gradients[step]) sum += double(g) * g;
      norm = std::sqrt(sum);
      const double t = double(step + 1), b1 = s.options.beta1, b2 = s.options.beta2;
      const double scale = s.options.clip > 0 ? std::min(1.0, s.options.clip / norm) : 1;
      const double keep = std::min(s.average.decay, s.average.warm_start ? t / (t + 9) : 1.0);
      for (size_t i = 0; i < w.size(); ++i) {
        const double g = scale * gradients[step][i];
        m[i] = b1 * m[i] + (1 - b1) * g, v[i] = b2 * v[i] + (1 - b2) * g * g;
        const double move =
            m[i] / (1 - std::pow(b1, t)) / (std::sqrt(v[i] / (1 - std::pow(b2, t))) + s.options.eps);
        const double decay = decayed[i / kParameterAlign] ? double(s.options.weight_decay) * w[i] : 0;
        w[i] -= double(s.input.learning_rate) * (move + decay);
        ema[i] = keep * ema[i] + (1 - keep) * w[i];
      }
    }
  }
};

std::vector<std::vector<float>> some_gradients(size_t count, int steps) {
  std::vector<std::vector<float>> gradients;
  for (int i = 0; i < steps; ++i)
    gradients.push_back(normals<float>(count, 10 + uint32_t(i), i % 2 ? 3 : 0.01 / double(count)));
  return gradients;
}

void check(size_t count, const Setting& s) {
  CAPTURE(count);
  CAPTURE(s.offset);
  CAPTURE(s.options.clip);
  const Parameters before(count);
  const int steps = 4;
  const auto gradients = some_gradients(count, steps);
  const Parameters after = run(s, before, gradients);
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    CHECK(run(s, before, gradients) == after);
  }
  const Reference expected(s, before, gradients);
  CHECK(after.state.updates == steps);
  CHECK(after.state.skipped == 0);
  CHECK(std::abs(after.state.grad_norm - expected.norm) <= rounding<float>() * expected.norm);
  // A few roundings a step, of numbers below 1 (w, ema), of the gradient's size (m) and of its square (v).
  const double eps = rounding<float>(), largest = s.options.clip > 0 ? 1 : 16;
  CHECK(count_wrong(after.w, expected.w, 0, 4 * steps * eps) == 0);
  CHECK(count_wrong(after.ema, expected.ema, 0, 8 * steps * eps) == 0);
  CHECK(count_wrong(after.m, expected.m, 8 * steps * eps, steps * eps * largest) == 0);
  CHECK(count_wrong(after.v, expected.v, 8 * steps * eps, 1e-37) == 0);
  for (size_t i = 0; i < count; ++i) CHECK(after.half[i].bits == bf16(after.w[i]).bits);
}

}  // namespace

TEST_CASE("adamw follows f64: any count, aligned or not, clipped or not, every kind of average") {
  for (const size_t count : {1, 16, 1003, 4096, 5000})  // within a block, and several
    for (const size_t offset : {0, 1}) {
      Setting s;
      s.offset = offset, s.options.weight_decay = 0.1f;
      s.options.clip = count % 2 ? 1 : 0, s.average = {0.9999, count != 16};
      check(count, s);
    }
}

TEST_CASE("adamw: any one operand off the alignment of 16 bytes, to the same bits") {
  const size_t count = 1027;
  Setting s;
  s.options.clip = 0;
  const Parameters before(count);
  const auto gradients = some_gradients(count, 1);
  const Parameters aligned = run(s, before, gradients);
  simt::with_each_array_unaligned([&] { CHECK(run(s, before, gradients) == aligned); });
}

TEST_CASE("adamw gives what the CPU gives") {
  const size_t count = 2051;
  Setting s;
  s.options.weight_decay = 0.1f;
  const Parameters before(count);
  const auto gradients = some_gradients(count, 3);
  const Parameters gpu = run(s, before, gradients);
  Parameters p = before;
  CpuStream stream(1);
  const auto decayed = flags(count);
  for (const auto& g : gradients) {
    gradient_norm(stream, int64_t(count), s.options, s.average, g.data(), &p.state, nullptr);
    adamw_update(stream, int64_t(count), s.options, &s.input, &p.state,
                 {.grad = g.data(),
                  .flags = decayed.data(),
                  .w = p.w.data(),
                  .m = p.m.data(),
                  .v = p.v.data(),
                  .ema = p.ema.data(),
                  .half = p.half.data()});
  }
  const double eps = rounding<float>();
  CHECK(p.state.bias_correction1 == gpu.state.bias_correction1);
  CHECK(p.state.bias_correction2 == gpu.state.bias_correction2);
  CHECK(p.state.ema_decay == gpu.state.ema_decay);
  CHECK(std::abs(p.state.grad_norm - gpu.state.grad_norm) <= 2 * eps * p.state.grad_norm);
  CHECK(count_wrong(gpu.w, simt::F64Array(p.w).v, 2 * eps, 4 * eps) == 0);
  CHECK(count_wrong(gpu.ema, simt::F64Array(p.ema).v, 2 * eps, 4 * eps) == 0);
}

TEST_CASE("an average that decays at 0 copies, whatever stood there; the bf16 weights may be unwanted") {
  Parameters before(100);
  std::fill(before.ema.begin(), before.ema.end(), NAN);
  Setting s;
  s.average = {0, true};
  const Parameters after = run(s, before, some_gradients(100, 1), false);
  CHECK(same_bits(after.ema, after.w));
  CHECK(same_bits(after.half, before.half));
  CHECK(!same_bits(after.w, before.w));
}

TEST_CASE("a gradient that is not finite changes nothing, and squares may leave f32's range") {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    const size_t count = 1500;
    const Setting s;
    const Parameters before = run(s, Parameters(count), some_gradients(count, 1));
    auto gradient = normals<float>(count, 5);
    gradient[1400] = bad;
    Parameters after = run(s, before, {gradient});
    CHECK(after.state.skipped == 1);
    CHECK(!std::isfinite(after.state.grad_norm));
    CHECK(after == before);
    const auto huge = normals<float>(count, 6, 1e30);  // squares beyond f32: still a norm
    after = run(s, before, {gradient, huge});
    CHECK(after.state.skipped == 0);
    CHECK(after.state.updates == 2);
    double squares = 0;
    for (const float g : huge) squares += double(g) * double(g);
    CHECK(after.state.grad_norm == doctest::Approx(std::sqrt(squares)).epsilon(2 * 0x1p-24));
    CHECK(!same_bits(after.w, before.w));
  }
}

TEST_CASE("the norm of more elements than the largest grid takes at once") {
  CudaStream stream;
  const size_t count = (1u << 22) + 4099;
  std::vector<float> g(count);
  double sum = 0;
  for (size_t i = 0; i < count; ++i) g[i] = float(i % 1001) - 500, sum += double(g[i]) * g[i];
  DeviceArray<StepState> state(stream, std::vector<StepState>(1));
  DeviceArray<uint64_t> scratch(stream, empty_scratch());
  for (const size_t offset : {0, 1}) {
    DeviceArray<float> grad(stream, g, offset);
    gradient_norm(stream, int64_t(count), {}, {}, grad.data(), state.data(), scratch.data());
    CHECK(state.read()[0].grad_norm == float(std::sqrt(sum)));  // integers: the sum is exact in any order
  }
}
