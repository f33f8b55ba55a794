#pragma once

#include <cuda_runtime.h>

#include "kernels/bf16.h"
#include "kernels/cuda_shared.cuh"

/// What device code of several kernels needs; understood by nvcc and by g++ with the tests' emulator.
namespace ito::kernels {

inline constexpr int kWarpSize = 32;

/// V neighbouring elements, moved by one access: 16 bytes for 4 floats or 8 bf16.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T v[V];
};
template <class T>
inline constexpr int kWideVector = 16 / int(sizeof(T));

#if defined(__CUDACC__)
struct CallSite {};
__device__ inline void check_aligned(const void*, size_t, CallSite) {}
#else
using CallSite = simt::Place;
using simt::check_aligned;
#endif

/// p must be a multiple of the pack's size.
template <int V, class T>
__device__ inline Pack<T, V> load(const T* p, const CallSite& site = {}) {
  check_aligned(p, sizeof(Pack<T, V>), site);
  return *reinterpret_cast<const Pack<T, V>*>(p);
}
template <int V, class T>
__device__ inline void store(T* p, const Pack<T, V>& pack, const CallSite& site = {}) {
  check_aligned(p, sizeof(Pack<T, V>), site);
  *reinterpret_cast<Pack<T, V>*>(p) = pack;
}

/// Rounds to T, to nearest even as bf16's own constructor does; only NaNs may have other bits.
template <class T>
__device__ inline T narrow(float value) {
  return T(value);
}
#if defined(__CUDACC__)
template <>
__device__ inline bf16 narrow<bf16>(float value) {
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
#endif

/// Sum over the lanes of a full warp, the same bits in each of them.
__device__ inline float warp_sum(float value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

/// The threads of a block stand as rows x columns. mine.merge(other) takes in the state of a later row; row 0
/// is left with the merger of all rows of its column, always in the same order. slots: one for each thread of
/// the table. Every thread of the block calls it; those outside the table have row >= rows. Slots that were
/// used before need a barrier in between.
template <class State>
__device__ inline void merge_rows(const SharedArray<State>& slots, int row, int rows, int column, int columns,
                                  State& mine) {
  int half = 1;
  while (half * 2 < rows) half *= 2;
  for (; half > 0; half /= 2) {
    // A row gives its state away once, so slots are written once and one barrier a step is enough.
    if (row >= half && row < min(rows, 2 * half)) slots[row * columns + column] = mine;
    __syncthreads();
    if (row < half && row + half < rows) mine.merge(slots[(row + half) * columns + column]);
  }
}

/// 1 / (1 + e^-v), to a few units in the last place.
__device__ inline float sigmoid(float v) { return __fdividef(1.0f, 1.0f + expf(-v)); }

}  // namespace ito::kernels
