#include "bench/kernel_cases.h"
#include "engine/buffer.h"
#include "kernels/langevin.h"
#include "kernels/pointwise.h"
#include "kernels/rk45.h"
#include "kernels/threshold.h"

namespace ito::bench {

namespace {

using kernels::SdeStep;

/// A sampler's step x' = a x + b (skip x + out F) + c z with the network's next input, in one kernel and in
/// the sequence of plain ones that does the same.
struct SamplerTensors {
  kernels::SdeUpdateDims dims;
  SdeStep step;
  engine::Buffer<SdeStep> fused, noise_only;
  engine::Buffer<uint64_t> seeds;
  Tensor x, f, result, next, denoised, sum;  // f and next in the network's dtype, the rest f32

  SamplerTensors(Operands& operands, const kernels::SdeUpdateDims& d, const Shape& shape, DType dtype,
                 const SdeStep& numbers)
      : dims(d), step(numbers), fused(operands.device(), {numbers}) {
    SdeStep noise;
    noise.a = 1, noise.c = numbers.c;
    noise_only = {operands.device(), {noise}};
    std::vector<uint64_t> each(size_t(d.n));
    for (size_t i = 0; i < each.size(); ++i) each[i] = i;
    seeds = {operands.device(), each};
    x = operands.normal(shape, DType::f32), f = operands.normal(shape, dtype);
    next = operands.zeros(shape, dtype);
    for (Tensor* t : {&result, &denoised, &sum}) *t = operands.zeros(shape, DType::f32);
  }
  template <class Stream>
  void run(Stream& s) {
    kernels::SdeUpdateOperands o{};
    o.start = x.in(), o.x = x.in(), o.network.f = f.in();
    o.seeds = seeds.data();
    o.x_out = result.out(), o.network.next_in = next.out();
    kernels::sde_update(s, dims, fused.data(), o);
  }
  template <class Stream>
  void run_unfused(Stream& s) {
    const int64_t n = x.count();
    if (f.dtype() == DType::f32) {
      kernels::add_scaled(s, n, step.network.skip, x.in(), step.network.out, f.in(), denoised.out());
    } else {
      kernels::add_scaled(s, n, 1, f.in(), 0, {}, sum.out());
      kernels::add_scaled(s, n, step.network.skip, x.in(), step.network.out, sum.in(), denoised.out());
    }
    kernels::add_scaled(s, n, step.a, x.in(), step.b[0], denoised.in(), sum.out());
    if (step.c != 0) {
      kernels::SdeUpdateOperands o{};
      o.start = sum.in(), o.seeds = seeds.data(), o.x_out = sum.out();
      kernels::sde_update(s, dims, noise_only.data(), o);
    }
    kernels::add_scaled(s, n, step.network.next_scale, sum.in(), 0, {}, next.out());
  }
};

/// Reads x and F, writes x' and the next input.
Case step_case(const Setting& setting, const char* name, const SdeStep& step) {
  const auto& net = setting.network;
  const Shape shape{setting.batch, net.height, net.width, net.channels};
  const kernels::SdeUpdateDims d{setting.batch, net.height * net.width * net.channels, 0,
                                 Purpose::sampler_noise};
  const DType dtype = setting.dtype;
  return {"sampler step",
          name,
          cat(shape[0], "x", shape[1], "x", shape[2], "x", shape[3]),
          dtype == DType::f32 ? "f32" : cat("f32, ", name_of(dtype), " next input"),
          1,
          0,
          double(shape.count()) * (8 + 2 * double(size_of(dtype))),
          [=](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<SamplerTensors>(operands, d, shape, dtype, step);
            Device& device = operands.device();
            return {[&device, t] { device.launch([&](auto& s) { t->run(s); }); },
                    {step.c != 0 ? "add_scaled, noise" : "add_scaled",
                     [&device, t] { device.launch([&](auto& s) { t->run_unfused(s); }); }},
                    t->next};
          }};
}

/// The numbers of what follows a network's answer, and its tensors.
struct AnswerTensors {
  int n, per_image;
  engine::Buffer<SdeStep> step;
  engine::Buffer<kernels::LangevinStep> corrector;
  engine::Buffer<uint64_t> seeds;
  Tensor x, f, limit, norms, result, next;  // f and next in the network's dtype, the rest f32

  AnswerTensors(Operands& operands, const Shape& shape, DType dtype)
      : n(int(shape[0])), per_image(int(shape.count() / shape[0])) {
    SdeStep numbers;  // any: none is special
    numbers.network.skip = 0.3f, numbers.network.out = 0.7f;
    kernels::LangevinStep langevin;
    langevin.network = numbers.network, langevin.snr = 0.16f;
    step = {operands.device(), {numbers}}, corrector = {operands.device(), {langevin}};
    seeds = {operands.device(), std::vector<uint64_t>(size_t(n), 1)};
    x = operands.normal(shape, DType::f32), f = operands.normal(shape, dtype);
    limit = operands.zeros({n}, DType::f32), norms = operands.zeros({n, 2}, DType::f32);
    result = operands.zeros(shape, DType::f32), next = operands.zeros(shape, dtype);
  }
  template <class Stream>
  void find_limit(Stream& s) {
    kernels::dynamic_limit(s, {n, per_image, 0.995}, step.data(), {.x = x.in(), .f = f.in(), .guide_f = {}},
                           limit.out());
  }
  template <class Stream>
  void correct(Stream& s) {
    const kernels::LangevinOperands o{.x = x.in(),
                                      .network = {.f = f.in(), .next_in = next.out()},
                                      .seeds = seeds.data(),
                                      .norms = norms.out(),
                                      .x_out = result.out()};
    kernels::langevin_norms(s, {n, per_image}, corrector.data(), o);
    kernels::langevin_update(s, {n, per_image}, corrector.data(), o);
  }
};

/// A step of the adaptive flow, over and over: after the first ones its images are at their end, and stay.
struct FlowTensors {
  kernels::Rk45Dims dims;
  engine::Buffer<kernels::Rk45State> states;
  engine::Buffer<kernels::Rk45Level> levels, table;
  Tensor x, at, slopes, f, next;

  FlowTensors(Operands& operands, const Shape& shape, DType dtype)
      : dims{int(shape[0]), int(shape.count() / shape[0]), 1e-3, 1e-3} {
    kernels::Rk45State state;
    state.sigma = 1, state.step = -0.5;
    states = {operands.device(), std::vector(size_t(dims.n), state)};
    levels = {operands.device(), std::vector<kernels::Rk45Level>(size_t(dims.n) * kernels::kRk45Slopes)};
    table = {operands.device(), std::vector<kernels::Rk45Level>(2)};
    x = operands.normal(shape, DType::f32), at = operands.zeros(shape, DType::f32);
    slopes = operands.zeros({kernels::kRk45Slopes * shape[0], shape[1], shape[2], shape[3]}, DType::f32);
    f = operands.normal(shape, dtype), next = operands.zeros(shape, dtype);
  }
  template <class Stream>
  void advance(Stream& s) {
    const kernels::Rk45Operands o{.x = x.out(),
                                  .at = at.out(),
                                  .slopes = slopes.out(),
                                  .network = {.f = f.in(), .next_in = next.out()},
                                  .states = states.data(),
                                  .levels = levels.data()};
    for (int slope = 2; slope < kernels::kRk45Slopes; ++slope) kernels::rk45_slope(s, dims, slope, o);
    kernels::rk45_error(s, dims, {table.data(), 2, -7, 1}, o);
    kernels::rk45_accept(s, dims, o);
  }
};

/// run(stream, tensors), which moves so many bytes an element.
template <class Tensors = AnswerTensors, class Run>
Case answer_case(const Setting& setting, const char* name, double bytes, Run run) {
  const auto& net = setting.network;
  const Shape shape{setting.batch, net.height, net.width, net.channels};
  return {"sampler step",
          name,
          cat(shape[0], "x", shape[1], "x", shape[2], "x", shape[3]),
          std::string(name_of(setting.dtype)),
          0,
          0,
          double(shape.count()) * bytes,
          [=, dtype = setting.dtype](Operands& operands) -> PreparedCase {
            const auto t = std::make_shared<Tensors>(operands, shape, dtype);
            Device& device = operands.device();
            return {[&device, t, run] { device.launch([&](auto& s) { run(s, *t); }); }, {}, {}};
          }};
}

/// Reads x and F.
Case limit_case(const Setting& setting) {
  return answer_case(setting, "dynamic_limit", 4 + double(size_of(setting.dtype)),
                     [](auto& stream, AnswerTensors& t) { t.find_limit(stream); });
}

/// Both launches: x and F are read twice, since the norms must be known before anything moves.
Case langevin_case(const Setting& setting) {
  return answer_case(setting, "langevin_norms, langevin_update", 12 + 3 * double(size_of(setting.dtype)),
                     [](auto& stream, AnswerTensors& t) { t.correct(stream); });
}

/// What a step of rk45 does besides its six evaluations: five slopes, error and decision. Slope i reads x, y, F and
/// i - 1 slopes, and writes one, y and the next input; the error reads x, y, F and six slopes and writes one; the
/// decision reads x, y and two slopes, and writes x, y and the next input.
Case flow_case(const Setting& setting) {
  const double dtype = double(size_of(setting.dtype));
  double bytes = 4 * (2 + 6 + 1) + dtype + 4 * (2 + 2 + 2) + dtype;
  for (int slope = 2; slope <= 6; ++slope) bytes += 4 * (2 + (slope - 1) + 2) + 2 * dtype;
  return answer_case<FlowTensors>(setting, "rk45, a step", bytes,
                                  [](auto& stream, FlowTensors& t) { t.advance(stream); });
}

}  // namespace

Cases sampler_cases(const Setting& setting) {
  SdeStep step;  // any numbers: none is special
  step.network.skip = 0.3f, step.network.out = 0.7f, step.network.next_scale = 1.1f;
  step.a = 0.9f, step.b[0] = 0.1f;
  SdeStep noisy = step;
  noisy.c = 0.2f;
  return {step_case(setting, "sde_update (noise)", noisy), step_case(setting, "sde_update (no noise)", step),
          limit_case(setting), langevin_case(setting), flow_case(setting)};
}

}  // namespace ito::bench
