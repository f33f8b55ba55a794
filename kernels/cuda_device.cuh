#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <type_traits>

#include "kernels/base/bf16.h"
#include "kernels/cuda_shared.cuh"

/// What device code of several kernels needs; understood by nvcc and by g++ with the tests' emulator.
namespace ito::kernels {

inline constexpr int kWarpSize = 32;

/// V neighbouring elements. Up to 16 bytes (4 floats, 8 bf16) are moved by one access.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  static_assert(V > 0 && (V & (V - 1)) == 0,
                "alignas takes powers of two only, so a pack has a power of two of elements");
  T v[V];
};
/// Elements of the largest pack that one access moves.
template <class T>
inline constexpr int kPackWidth = 16 / int(sizeof(T));

template <class T, int V>
__device__ constexpr void check_access() {
  static_assert(V <= kPackWidth<T>, "an access moves at most 16 bytes: load or store larger packs by parts");
}

#if defined(__CUDACC__)
struct CallSite {};
__device__ inline void check_aligned(const void*, size_t, CallSite) {}
__device__ inline void check_within_array(const void*, size_t, CallSite) {}
__device__ inline void check_read(const void*, size_t, CallSite) {}
__device__ inline void check_global(const void*, size_t, CallSite) {}
#else
using CallSite = simt::SourceLocation;
using simt::check_aligned;
using simt::check_global;
using simt::check_read;
using simt::check_within_array;
#endif

#if defined(__CUDACC__)
/// What moves N bytes by one access.
template <size_t N>
struct Word;
template <>
struct Word<1> {
  using Type = unsigned char;
};
template <>
struct Word<2> {
  using Type = unsigned short;
};
template <>
struct Word<4> {
  using Type = unsigned;
};
template <>
struct Word<8> {
  using Type = uint2;
};
template <>
struct Word<16> {
  using Type = uint4;
};
// By hand to global memory: nvcc takes a pack apart whose elements were computed singly, and stores it by
// twos and fours of bytes.
template <class Bytes>
__device__ inline void put(Bytes* p, const Bytes& bytes) {
  *p = bytes;
}
__device__ inline void put(uint4* p, const uint4& b) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(b.x), "r"(b.y), "r"(b.z), "r"(b.w)
               : "memory");
}
#else
template <size_t N>
struct Word {
  struct alignas(N) Type {
    char bytes[N];
  };
};
template <class Bytes>
void put(Bytes* p, const Bytes& bytes) {
  *p = bytes;
}
#endif

/// p must be a multiple of the pack's size.
template <int V, class T>
__device__ inline Pack<T, V> load(const T* p, const CallSite& site = {}) {
  check_access<T, V>();
  check_aligned(p, sizeof(Pack<T, V>), site);
  check_read(p, sizeof(Pack<T, V>), site);
  using Bytes = typename Word<sizeof(Pack<T, V>)>::Type;
  const Bytes bytes = *reinterpret_cast<const Bytes*>(p);
  Pack<T, V> pack;
  memcpy(&pack, &bytes, sizeof(pack));
  return pack;
}
/// To global memory; store_shared to shared memory.
template <int V, class T>
__device__ inline void store(T* p, const Pack<T, V>& pack, const CallSite& site = {}) {
  check_access<T, V>();
  check_aligned(p, sizeof(Pack<T, V>), site);
  check_global(p, sizeof(Pack<T, V>), site);
  using Bytes = typename Word<sizeof(Pack<T, V>)>::Type;
  Bytes bytes;
  memcpy(&bytes, &pack, sizeof(pack));
  put(reinterpret_cast<Bytes*>(p), bytes);
}
template <int V, class T>
__device__ inline void store_shared(T* p, const Pack<T, V>& pack, const CallSite& site = {}) {
  check_access<T, V>();
  check_aligned(p, sizeof(Pack<T, V>), site);
  check_within_array(p, sizeof(Pack<T, V>), site);
  *reinterpret_cast<Pack<T, V>*>(p) = pack;
}

/// Rounds to T, to nearest even as bf16's own constructor does; only NaNs may have other bits.
template <class T>
__device__ inline T narrow(float value) {
  return T(value);
}
template <class T, int V>
__device__ inline Pack<T, V> narrow(const Pack<float, V>& values) {
  Pack<T, V> result;
  for (int i = 0; i < V; ++i) result.v[i] = narrow<T>(values.v[i]);
  return result;
}
/// As f32, which is exact.
template <class T, int V>
__device__ inline Pack<float, V> widen(const Pack<T, V>& values) {
  Pack<float, V> result;
  for (int i = 0; i < V; ++i) result.v[i] = float(values.v[i]);
  return result;
}

#if defined(__CUDACC__)
template <>
__device__ inline bf16 narrow<bf16>(float value) {
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
}
// Two at a time: half an instruction for each value instead of two or three.
template <>
__device__ inline Pack<bf16, 8> narrow<bf16, 8>(const Pack<float, 8>& values) {
  unsigned pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pairs[i]) : "f"(values.v[2 * i + 1]), "f"(values.v[2 * i]));
  Pack<bf16, 8> result;
  memcpy(&result, pairs, sizeof(result));
  return result;
}
template <>
__device__ inline Pack<float, 8> widen<bf16, 8>(const Pack<bf16, 8>& values) {
  unsigned pairs[4];
  memcpy(pairs, &values, sizeof(values));
  Pack<float, 8> result;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    result.v[2 * i] = __uint_as_float(pairs[i] << 16);
    result.v[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
  }
  return result;
}
#endif

/// Sum over the lanes of a full warp, the same bits in each of them.
__device__ inline float warp_sum(float value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(~0u, value, distance);
  return value;
}

/// A reduction over the rows of a block whose threads form a table, rows x columns. mine.merge(other) takes in the
/// state of a later row; row 0 is left with what all rows of its column merge to, always in the same order. slots:
/// one for each thread of the table. Every thread of the block makes the call; those outside the table have row >=
/// rows. Slots that were used before need a barrier in between.
template <class State>
__device__ inline void merge_rows(const SharedArray<State>& slots, int row, int rows, int column, int columns,
                                  State& mine) {
  static_assert(std::is_trivially_copyable_v<State>,
                "states pass through shared memory, which holds plain bytes");
  int half = 1;
  while (half * 2 < rows) half *= 2;
  for (; half > 0; half /= 2) {
    // A row gives its state away once, so slots are written once and one barrier a step is enough.
    if (row >= half && row < min(rows, 2 * half)) slots[row * columns + column] = mine;
    __syncthreads();
    if (row < half && row + half < rows) mine.merge(slots[(row + half) * columns + column]);
  }
}

}  // namespace ito::kernels
