#include "bench/kernel_ceilings.h"

#include <algorithm>
#include <cstring>

#include "bench/kernel_libraries.h"
#include "bench/machine.h"
#include "kernels/conv2d/vec.h"
#include "kernels/parallel.h"

namespace ito::bench {

namespace {

using kernels::conv2d::Vec;

/// Enough independent sums to fill two units of a latency of four to five cycles, in sixteen registers.
constexpr int kChains = 12;

/// chains = chains * factor + 1, `rounds` times. Converges, so that no number overflows or becomes subnormal.
float multiply_add_loop(int64_t rounds, float factor) {
  Vec chains[kChains];
  for (int i = 0; i < kChains; ++i) chains[i] = Vec{} + float(i);
  const Vec by = Vec{} + factor, plus = Vec{} + 1.0f;
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = chains[i] * by + plus;
  Vec sum{};
  for (const Vec& chain : chains) sum += chain;
  return sum[0];
}

Rate multiply_adds(Operands& operands, Stopwatch& watch, int64_t rounds) {
  kernels::CpuStream& stream = operands.device().cpu_stream();
  std::vector<float> results(size_t(stream.threads()));  // used, so that the loop is run
  const Timing timing = watch.time([&] {
    kernels::parallel_each(stream, stream.threads(),
                           [&](int64_t i) { results[size_t(i)] += multiply_add_loop(rounds, 0.5f); });
  });
  const double each = 2.0 * kChains * kernels::conv2d::kLanes * double(rounds);
  return {results[0] > 0 ? "f32 multiply-adds in registers" : "", each * stream.threads() / timing.seconds,
          timing};
}

/// By every thread of a CPU a piece; a GPU copies by itself.
Rate copy(Operands& operands, Stopwatch& watch, int64_t bytes) {
  Device& device = operands.device();
  Tensor from = operands.normal({bytes / 4}, DType::f32), to = operands.zeros({bytes / 4}, DType::f32);
  const bool cpu = device.backend() == engine::Backend::cpu;
  const int64_t pieces = cpu ? device.threads() : 1, piece = bytes / pieces;
  const Timing timing = watch.time([&] {
    if (!cpu) return device.copy(to.data(), from.data(), size_t(bytes));
    kernels::parallel_each(device.cpu_stream(), pieces, [&](int64_t i) {
      std::memcpy(static_cast<char*>(to.data()) + i * piece, static_cast<char*>(from.data()) + i * piece,
                  size_t(piece));
    });
  });
  return {"copy", 2.0 * double(piece) * double(pieces) / timing.seconds, timing};
}

std::vector<Rate> products(Operands& operands, Stopwatch& watch, DType dtype, int size) {
  Device& device = operands.device();
  auto t = std::make_shared<ProductTensors>();
  t->dims = {size, size, size}, t->pass = kernels::ConvPass::forward;
  for (Tensor* matrix : {&t->x, &t->w, &t->y}) *matrix = operands.normal({size, size}, dtype);
  t->workspace = operands.workspace(device.query([&](auto& s) {
    return kernels::linear_workspace_bytes(s, device.conv_policy(), t->dims, dtype, t->pass);
  }));
  const std::string text = cat(" ", name_of(dtype), " product of ", size, "x", size);
  const double flops = 2.0 * size * double(size) * size;
  std::vector<Rate> rates;
  const auto add = [&](const std::string& by, const Runnable& run) {
    const Timing timing = watch.time(run);
    rates.push_back({by + text, flops / timing.seconds, timing});
  };
  add("our", [&] { run_pass(device, device.conv_policy(), *t, t->workspace); });
  if (const Baseline library = library_product(operands, t); library.run)
    add(library.name + "'s", library.run);
  return rates;
}

}  // namespace

double Ceilings::flops_per_second() const {
  double most = 0;
  for (const Rate& rate : arithmetic) most = std::max(most, rate.per_second);
  return most;
}

CeilingSizes ceiling_sizes(Device& device) {
  CeilingSizes sizes;
  const bool cpu = device.backend() == engine::Backend::cpu;
  const int64_t available = int64_t(device.free_bytes());
  if (cpu) sizes.copied = int64_t(256) << 20;
  while (sizes.copied > available / 8) sizes.copied /= 2;
  return sizes;
}

Ceilings measure_ceilings(Operands& operands, Stopwatch& watch, DType dtype, const CeilingSizes& sizes) {
  Ceilings result{copy(operands, watch, sizes.copied), {}};
  if (operands.device().backend() == engine::Backend::cpu)
    result.arithmetic.push_back(multiply_adds(operands, watch, sizes.multiply_adds));
  else
    result.arithmetic = products(operands, watch, dtype, sizes.product);
  return result;
}

}  // namespace ito::bench
