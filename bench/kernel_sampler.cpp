#include "bench/kernel_cases.h"
#include "engine/buffer.h"
#include "kernels/pointwise.h"
#include "kernels/sde_update.h"

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
    o.start = x.in(), o.x = x.in(), o.f = f.in();
    o.seeds = seeds.data();
    o.x_out = result.out(), o.next_in = next.out();
    kernels::sde_update(s, dims, fused.data(), o);
  }
  template <class Stream>
  void run_unfused(Stream& s) {
    const int64_t n = x.count();
    if (f.dtype() == DType::f32) {
      kernels::add_scaled(s, n, step.skip, x.in(), step.out, f.in(), denoised.out());
    } else {
      kernels::add_scaled(s, n, 1, f.in(), 0, {}, sum.out());
      kernels::add_scaled(s, n, step.skip, x.in(), step.out, sum.in(), denoised.out());
    }
    kernels::add_scaled(s, n, step.a, x.in(), step.b[0], denoised.in(), sum.out());
    if (step.c != 0) {
      kernels::SdeUpdateOperands o{};
      o.start = sum.in(), o.seeds = seeds.data(), o.x_out = sum.out();
      kernels::sde_update(s, dims, noise_only.data(), o);
    }
    kernels::add_scaled(s, n, step.next_scale, sum.in(), 0, {}, next.out());
  }
};

/// Reads x and F, writes x' and the next input.
Case step_case(const Setting& setting, const char* name, const SdeStep& step) {
  const auto& net = setting.network;
  const Shape shape{setting.batch, net.height, net.width, net.channels};
  const kernels::SdeUpdateDims d{setting.batch, net.height * net.width * net.channels, 0, false,
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

}  // namespace

Cases sampler_cases(const Setting& setting) {
  SdeStep step;  // any numbers: none is special
  step.skip = 0.3f, step.out = 0.7f, step.a = 0.9f, step.b[0] = 0.1f, step.next_scale = 1.1f;
  SdeStep noisy = step;
  noisy.c = 0.2f;
  return {step_case(setting, "sde_update (noise)", noisy), step_case(setting, "sde_update (no noise)", step)};
}

}  // namespace ito::bench
