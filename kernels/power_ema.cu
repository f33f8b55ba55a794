#include "kernels/cuda_map.cuh"
#include "kernels/power_ema.h"

// A parameter costs 20 bytes: the weight and two averages read, the averages written.
namespace ito::kernels {

template <int V>
__global__ void __launch_bounds__(kMapThreads)
    power_ema_kernel(int64_t count, PowerEma ema, const StepState* state, PowerEmaBuffers b) {
  if (state->skipped) return;
  SharedMemory shared;
  const auto rest = shared.take<float>(kPowerAverages);  // once a block: logarithms in f64 are slow
  if (threadIdx.x < kPowerAverages)
    rest[threadIdx.x] = float(ema.rest(int(threadIdx.x), double(state->updates)));
  __syncthreads();
  const bool copies = state->updates <= 1;  // the average may hold anything before, which must not show
  map_elements<V>(count, [&](auto width, int64_t i) {
    const auto w = load<width.value>(b.w + i);
#pragma unroll
    for (int k = 0; k < kPowerAverages; ++k) {
      auto average = load<width.value>(b.average[k] + i);
      for (int e = 0; e < width.value; ++e)
        average.v[e] = copies ? w.v[e] : average.v[e] + rest[k] * (w.v[e] - average.v[e]);
      store(b.average[k] + i, average);
    }
  });
}

void power_ema(CudaStream& stream, int64_t count, const PowerEma& ema, const StepState* state,
               const PowerEmaBuffers& b) {
  check_power_ema(count);
  constexpr int V = kPackWidth<float>;
  const bool packs = is_aligned<V>(b.w, b.average[0], b.average[1]);
  LaunchConfig config = map_config("power_ema", 1, count, packs ? V : 1);
  config.shared_bytes = shared_size<float>(kPowerAverages);
  launch(packs ? power_ema_kernel<V> : power_ema_kernel<1>, config, stream, count, ema, state, b);
}

}  // namespace ito::kernels
