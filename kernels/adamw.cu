#include "kernels/adamw.h"
#include "kernels/adamw_step.h"
#include "kernels/base/math.h"
#include "kernels/cuda_map.cuh"
#include "kernels/cuda_sum.cuh"

// A parameter costs 42 bytes: the norm reads the gradient (4); the update reads it again with w, m, v and ema
// (20) and writes the last four and the bf16 weight (18). That is the minimum, since the norm must be known
// before the first parameter moves; a flag for 16 parameters does not count.
namespace ito::kernels {

inline constexpr int kNormThreads = 256, kNormPack = 4;
inline constexpr int kNormBlocks = 1024;  // at most; as many as an H100 holds at once, whatever the card

/// gradient_norm's scratch.
struct NormScratch {
  unsigned done;  // blocks that have stored their sum
  double sums[kNormBlocks];
};
static_assert(sizeof(NormScratch) <= kGradientNormScratch, "callers allocate kGradientNormScratch bytes");

namespace {

/// The sum over the thread's elements.
template <int V>
__device__ double sum_of_squares(int64_t count, const float* grad) {
  static_assert(V <= kNormThreads, "the elements behind the last pack go to the first threads, one each");
  const int64_t thread = int64_t(blockIdx.x) * kNormThreads + threadIdx.x;
  const int64_t threads = int64_t(gridDim.x) * kNormThreads, packs = count / V;
  double sum = 0;
#pragma unroll 4
  for (int64_t i = thread; i < packs; i += threads) {
    const Pack<float, V> g = load<V>(grad + i * V);
    for (int k = 0; k < V; ++k) sum += double(g.v[k]) * double(g.v[k]);
  }
  if (thread < count - packs * V) {
    const double last = grad[packs * V + thread];
    sum += last * last;
  }
  return sum;
}

}  // namespace

/// Each block stores its sum; the last block to finish adds them up, in the order of the blocks.
template <int V>
__global__ void __launch_bounds__(kNormThreads)
    gradient_norm_kernel(int64_t count, AdamWOptions options, EmaOptions ema, const float* grad,
                         StepState* state, NormScratch* scratch) {
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kNormThreads);
  const auto is_last = shared.take<int>(1);
  const double sum = block_sum(slots, kNormThreads, sum_of_squares<V>(count, grad));
  if (threadIdx.x == 0) {
    scratch->sums[blockIdx.x] = sum;
    __threadfence();  // a block that sees the count sees the sum
    is_last[0] = atomicAdd(&scratch->done, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!is_last[0]) return;
  double all = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kNormThreads) all += scratch->sums[i];
  all = block_sum(slots, kNormThreads, all);
  if (threadIdx.x > 0) return;
  scratch->done = 0;
  finish_gradient_norm(all, options, ema, state);
}

template <int V>
__global__ void __launch_bounds__(kMapThreads)
    adamw_update_kernel(int64_t count, AdamWOptions options, const StepInput* input, const StepState* state,
                        AdamWBuffers b) {
  if (state->skipped) return;
  const AdamWStep step(options, *input, *state);
  map_elements<V>(count, [&](auto width, int64_t i) {
    const Pack<float, width.value> grad = load<width.value>(b.grad + i);
    Pack<float, width.value> w = load<width.value>(b.w + i), m = load<width.value>(b.m + i);
    Pack<float, width.value> v = load<width.value>(b.v + i), ema = load<width.value>(b.ema + i);
    const uint8_t flags = b.flags[i / kParameterAlign];
    const bool decayed = flags & kDecayed, ready = flags & b.ready;
    Pack<bf16, width.value> half;
    for (int k = 0; k < width.value; ++k) {
      if (ready)
        step.update_ready(decayed, grad.v[k], w.v[k], ema.v[k]);
      else
        step.update(decayed, grad.v[k], w.v[k], m.v[k], v.v[k], ema.v[k]);
      half.v[k] = narrow<bf16>(w.v[k]);
    }
    store(b.w + i, w), store(b.m + i, m), store(b.v + i, v), store(b.ema + i, ema);
    if (b.half) store(b.half + i, half);
  });
}

void gradient_norm(CudaStream& stream, int64_t count, const AdamWOptions& options, const EmaOptions& ema,
                   const float* grad, StepState* state, void* scratch) {
  check_adamw(count);
  const int64_t block = kNormThreads * kNormPack, blocks = div_up(count, block);
  LaunchConfig config;
  config.grid = dim3(unsigned(std::min<int64_t>(kNormBlocks, blocks)));
  config.block = dim3(kNormThreads);
  config.shared_bytes = shared_size<Sum64>(kNormThreads) + shared_size<int>(1);
  launch(is_aligned<kNormPack>(grad) ? gradient_norm_kernel<kNormPack> : gradient_norm_kernel<1>, config,
         stream, count, options, ema, grad, state, static_cast<NormScratch*>(scratch));
}

void adamw_update(CudaStream& stream, int64_t count, const AdamWOptions& options, const StepInput* input,
                  const StepState* state, const AdamWBuffers& b) {
  check_adamw(count);
  constexpr int V = kPackWidth<float>;
  static_assert(kParameterAlign % V == 0, "a pack has one flag");
  launch_map<V>("adamw_update", stream, 1, count, is_aligned<V>(b.grad, b.w, b.m, b.v, b.ema, b.half),
                adamw_update_kernel<V>, adamw_update_kernel<1>, count, options, input, state, b);
}

}  // namespace ito::kernels
