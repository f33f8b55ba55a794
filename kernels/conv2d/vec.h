#pragma once

#include "kernels/base/math.h"

/// Vectors of floats by the compilers' vector extensions: one register where the machine has one of this
/// width, several where it has not.
namespace ito::kernels::conv2d {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#else
constexpr int kLanes = 8;
#endif

/// Channels are handled in groups of one cache line: one or two vectors.
constexpr int kLine = 16;
constexpr int kLineVecs = kLine / kLanes;

typedef float Vec __attribute__((vector_size(kLanes * sizeof(float))));
typedef float LooseVec __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));

inline Vec load(const float* from) { return *reinterpret_cast<const LooseVec*>(from); }
inline void store(float* to, Vec v) { *reinterpret_cast<LooseVec*>(to) = v; }

/// The first `count` floats, at most a vector of them; the rest is zero, or left alone.
inline Vec load_some(const float* from, int count) {
  if (count >= kLanes) return load(from);
  Vec v{};
  for (int i = 0; i < kLanes && i < count; ++i) v[i] = from[i];
  return v;
}
inline void store_some(float* to, Vec v, int count) {
  if (count >= kLanes) return store(to, v);
  for (int i = 0; i < kLanes && i < count; ++i) to[i] = v[i];
}

constexpr int lines(int channels) { return div_up(channels, kLine); }

}  // namespace ito::kernels::conv2d
