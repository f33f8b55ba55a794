#pragma once

/// As much of CUDA's device language as the kernels use, for g++. __shared__ is missing on purpose: shared
/// memory comes from kernels/cuda_shared.cuh. Masks are explicit: there is no __activemask.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/simt/emulator/shared.h"
#include "tests/simt/emulator/warp.h"
#include "tests/simt/include/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

// ---- barriers and warp collectives ----

inline void __syncthreads(const simt::SourceLocation& place = {}) { simt::machine().barrier(place); }
inline void __syncwarp(unsigned mask = ~0u, const simt::SourceLocation& place = {}) {
  simt::sync_warp(mask, place);
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, const simt::SourceLocation& place = {}) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = simt::shuffle(mask, bits, source & 31, place);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, const simt::SourceLocation& place = {}) {
  return __shfl_sync(mask, value, simt::machine().lane() ^ distance, place);
}
/// Lanes whose source lies outside the warp keep their own value.
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, const simt::SourceLocation& place = {}) {
  const int lane = simt::machine().lane(), source = lane + int(distance);
  return __shfl_sync(mask, value, source < 32 ? source : lane, place);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, const simt::SourceLocation& place = {}) {
  const int lane = simt::machine().lane(), source = lane - int(distance);
  return __shfl_sync(mask, value, source >= 0 ? source : lane, place);
}

inline unsigned __ballot_sync(unsigned mask, bool vote, const simt::SourceLocation& place = {}) {
  return simt::ballot(mask, vote, place);
}
inline int __any_sync(unsigned mask, bool vote, const simt::SourceLocation& place = {}) {
  return simt::ballot(mask, vote, place) != 0;
}
inline int __all_sync(unsigned mask, bool vote, const simt::SourceLocation& place = {}) {
  return simt::ballot(mask, !vote, place) == 0;
}

// ---- memory ----

inline void __threadfence() { simt::machine().fence(); }
inline void __threadfence_block() {}
template <class T>
T __ldg(const T* p) {
  return *p;
}

template <class T>
inline constexpr bool kHasAtomics =
    std::is_same_v<T, int> || std::is_same_v<T, unsigned> ||
    std::is_same_v<T, unsigned long long>;  // sums of floats would have no order

template <class T, class Change>
T atomic_change(T* p, const simt::SourceLocation& place, Change change) {
  static_assert(kHasAtomics<T>, "atomics are for integers");
  if (simt::device_memory().owns(p)) simt::machine().signal(place);
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(p, &old, change(old), true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> value, const simt::SourceLocation& place = {}) {
  return atomic_change(p, place, [&](T old) { return old + value; });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> value, const simt::SourceLocation& place = {}) {
  return atomic_change(p, place, [&](T old) { return old > value ? old : value; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> value, const simt::SourceLocation& place = {}) {
  return atomic_change(p, place, [&](T old) { return old < value ? old : value; });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> value, const simt::SourceLocation& place = {}) {
  return atomic_change(p, place, [&](T) { return value; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value,
            const simt::SourceLocation& place = {}) {
  return atomic_change(p, place, [&](T old) { return old == expected ? value : old; });
}

// ---- arithmetic ----

inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline unsigned min(int a, unsigned b) { return min(unsigned(a), b); }
inline unsigned max(int a, unsigned b) { return max(unsigned(a), b); }
inline unsigned min(unsigned a, int b) { return min(a, unsigned(b)); }
inline unsigned max(unsigned a, int b) { return max(a, unsigned(b)); }
inline long min(long a, long b) { return a < b ? a : b; }
inline long max(long a, long b) { return a > b ? a : b; }
inline unsigned long min(unsigned long a, unsigned long b) { return a < b ? a : b; }
inline unsigned long max(unsigned long a, unsigned long b) { return a > b ? a : b; }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline unsigned long long min(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
inline unsigned long long max(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(float a, double b) { return fmin(double(a), b); }
inline double max(float a, double b) { return fmax(double(a), b); }
inline double min(double a, float b) { return fmin(a, double(b)); }
inline double max(double a, float b) { return fmax(a, double(b)); }

inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __frcp_rn(float a) { return 1 / a; }
inline float rsqrtf(float a) { return float(1 / std::sqrt(double(a))); }
// glibc declares these two for itself, without a definition to link.
inline float __expf(float a) noexcept { return expf(a); }
inline float __logf(float a) noexcept { return logf(a); }
/// sin(pi a), cos(pi a).
inline void sincospif(float a, float* sine, float* cosine) {
  const double angle = 3.14159265358979323846 * std::fmod(double(a), 2.0);
  *sine = float(std::sin(angle));
  *cosine = float(std::cos(angle));
}

inline unsigned __float_as_uint(float a) { return std::bit_cast<unsigned>(a); }
inline float __uint_as_float(unsigned a) { return std::bit_cast<float>(a); }
inline int __float_as_int(float a) { return std::bit_cast<int>(a); }
inline float __int_as_float(int a) { return std::bit_cast<float>(a); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
inline int __ffs(int a) { return __builtin_ffs(a); }
inline int __clz(int a) { return a == 0 ? 32 : __builtin_clz(unsigned(a)); }
