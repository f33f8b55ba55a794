#pragma once

#include <type_traits>

#include "kernels/base/math.h"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "kernels/dtype.h"

/// Memory-bound maps over tensors [samples, per_sample]: a thread takes V neighbouring elements of a sample
/// and moves each operand's by one access. Grid: blocks of a sample x samples.
namespace ito::kernels {

inline constexpr int kMapThreads = 256;

/// Elements that a block of Philox gives, so that a thread of a map with random numbers takes as many.
inline constexpr int kQuad = 4;

/// Calls f(T{}) for the types that a GPU computes in.
template <class F>
void visit_cuda(const char* op, DType t, F&& f) {
  if (t == DType::f64) fail(cat(op, ": f64 exists on the CPU only; on CUDA use f32 or bf16"));
  t == DType::bf16 ? f(bf16{}) : f(float{});
}

/// Whether packs of V elements may start at all of these.
template <int V, class... T>
bool is_aligned(const T*... operands) {
  return (... && (reinterpret_cast<uintptr_t>(operands) % (sizeof(T) * V) == 0));
}

/// elements: of a sample, for each thread. Fails where a card would refuse the grid.
inline LaunchConfig map_config(const char* op, int64_t samples, int64_t per_sample, int elements,
                               const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const int64_t block = int64_t(kMapThreads) * elements, blocks = div_up(per_sample, block);
  if (samples < 1 || samples > 65535 || blocks < 1 || blocks > 0x7fffffff)
    fail(cat(op, ": ", samples, " samples (1..65535) of ", per_sample, " elements do not make a grid"));
  LaunchConfig config(file, line);
  config.grid = dim3(unsigned(blocks), unsigned(samples));
  config.block = dim3(kMapThreads);
  return config;
}

/// Launches a map: `wide` where the packs of V elements may start where samples do, else `single`.
template <int V, class... Parameters, class... Arguments>
void launch_map(const char* op, CudaStream& stream, int64_t samples, int64_t per_sample, bool aligned,
                void (*wide)(Parameters...), void (*single)(Parameters...), Arguments&&... arguments) {
  const bool packs = aligned && (samples == 1 || per_sample % V == 0);
  launch(packs ? wide : single, map_config(op, samples, per_sample, packs ? V : 1), stream,
         std::forward<Arguments>(arguments)...);
}

/// Kernels that divide an element's number within its sample do so in 32 bits.
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
