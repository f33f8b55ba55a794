#pragma once

#include <cmath>

#if defined(__CUDACC__)
#define ITO_DEVICE __device__
#else
#define ITO_DEVICE
#endif

/// Functions of a GPU's special function unit: 2^v and 1 / v to 3 and 2 units of 2^-24; results below 2^-126 are 0.
/// The tests' emulator takes the C library's instead.
namespace ito::kernels {

#if defined(__CUDACC__)
__device__ inline float fast_exp2(float v) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
  return result;
}
__device__ inline float fast_reciprocal(float v) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(v));
  return result;
}
#else
inline float fast_exp2(float v) { return exp2f(v); }
inline float fast_reciprocal(float v) { return 1 / v; }
#endif

/// 1 / (1 + e^-v) in four instructions, to 7 + |v| units of 2^-24: rounding -v log2(e) changes e^-v in proportion
/// to |v|.
ITO_DEVICE inline float fast_sigmoid(float v) {
  constexpr float kLog2E = 1.44269504f;
  return fast_reciprocal(1 + fast_exp2(-kLog2E * v));
}

}  // namespace ito::kernels
