#pragma once

#include "kernels/base/math.h"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_launch.h"

/// Memory-bound maps over tensors [samples, per_sample]: a thread takes a pack of V neighbouring elements of a
/// sample and moves each operand's pack by one access. Grid: blocks of a sample x samples.
namespace ito::kernels {

inline constexpr int kMapThreads = 256;

/// Elements that a block of Philox gives, so that a thread of a map with random numbers takes as many.
inline constexpr int kQuad = 4;

/// The grid of a map whose threads take `elements` of a sample each. Error: a grid that CUDA does not have.
inline LaunchConfig map_config(const char* op, int64_t samples, int64_t per_sample, int elements,
                               const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int64_t block = int64_t(kMapThreads) * elements, blocks = div_up(per_sample, block);
  check_cuda_samples(op, samples);
  if (blocks < 1 || blocks > 0x7fffffff)
    fail(cat(op, ": a sample of ", per_sample, " elements does not make a grid"));
  LaunchConfig config(file, line);
  config.grid = dim3(unsigned(blocks), unsigned(samples));
  config.block = dim3(kMapThreads);
  return config;
}

/// Launches a map: `packed` where the operands are aligned and every sample starts with a pack, else `single`.
template <int V, class... Parameters, class... Arguments>
void launch_map(const char* op, CudaStream& stream, int64_t samples, int64_t per_sample, bool aligned,
                void (*packed)(Parameters...), void (*single)(Parameters...), Arguments&&... arguments) {
  const bool packs = aligned && (samples == 1 || per_sample % V == 0);
  launch(packs ? packed : single, map_config(op, samples, per_sample, packs ? V : 1), stream,
         std::forward<Arguments>(arguments)...);
}

/// For kernels that divide an element's number within its sample: they do so in 32 bits.
inline void check_index(const char* op, int64_t per_sample) {
  if (per_sample > 0x7fffffff)
    fail(cat(op, ": a sample of ", per_sample, " elements; on CUDA it may have 2^31 - 1"));
}

/// The first of the thread's elements in its sample, blockIdx.y.
__device__ inline int64_t first_element(int elements) {
  return (int64_t(blockIdx.x) * kMapThreads + threadIdx.x) * elements;
}

/// Calls use(width, element) for the thread's V elements: once with width V, or where the sample ends among
/// them with width 1 for each. `element` counts in the whole tensor.
template <int V, class Use>
__device__ inline void map_elements(int64_t per_sample, Use use) {
  const int64_t first = first_element(V), start = int64_t(blockIdx.y) * per_sample;
  if (first + V <= per_sample) return use(std::integral_constant<int, V>{}, start + first);
  for (int64_t i = first; i < per_sample; ++i) use(std::integral_constant<int, 1>{}, start + i);
}

}  // namespace ito::kernels
