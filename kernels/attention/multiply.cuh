#pragma once

#include <type_traits>

#include "kernels/cuda_device.cuh"
#include "kernels/cuda_mma.cuh"

/// The two products of attention, over tiles in shared memory: a warp owns 16 rows. Its lanes hold scores and
/// results as mma.sync does: lane 4 g + t has, in group j of 8 columns, columns 2 t and 2 t + 1 of row g
/// (elements 0, 1) and of row g + 8 (elements 2, 3).
namespace ito::kernels::attention {

inline constexpr int kThreads = 128, kWarpRows = 16, kOwn = kThreads / kWarpSize * kWarpRows, kOther = 32;
inline constexpr int kBlocks = 2;  // of a multiprocessor, at least: leaves a thread all 255 registers

static_assert(kThreads % kWarpSize == 0 && kWarpRows == 16, "a warp multiplies the 16 rows of an mma.sync");
static_assert(kOther % 16 == 0, "mma.sync sums over 16 other rows at a time");

template <int V>
using Constant = std::integral_constant<int, V>;

/// Elements from a row of a tile to the next: 16 bytes more than its width, so that neighbouring rows lie in
/// different banks.
template <class T, int kWidth>
inline constexpr int kPitch = kWidth + kPackWidth<T>;

/// What the products ask of a chunk's width.
template <int kWidth>
__device__ constexpr void check_width() {
  static_assert(kWidth % 16 == 0,
                "mma.sync takes 16 channels at a time, and rows start at multiples of 16 bytes");
}

using Scores = float[kOther / 8][4];
template <int kWidth>
using Result = float[kWidth / 8][4];

/// scores += own rows . other rows, over kWidth channels, by FFMA.
template <int kWidth>
__device__ void add_rows_product(const SharedArray<float>& own, const SharedArray<float>& other,
                                 Scores& scores) {
  check_width<kWidth>();
  constexpr int kPitchHere = kPitch<float, kWidth>, V = 4;
  const int warp = int(threadIdx.x) / kWarpSize, g = int(threadIdx.x) % kWarpSize / 4,
            t = int(threadIdx.x) % 4;
#pragma unroll 2
  for (int c = 0; c < kWidth; c += V) {
    Pack<float, V> a[2];
    for (int half = 0; half < 2; ++half)
      a[half] = load<V>(&own[(warp * kWarpRows + g + 8 * half) * kPitchHere + c]);
#pragma unroll
    for (int j = 0; j < kOther / 8; ++j)
      for (int e = 0; e < 2; ++e) {
        const auto b = load<V>(&other[(8 * j + 2 * t + e) * kPitchHere + c]);
        for (int half = 0; half < 2; ++half)
          for (int i = 0; i < V; ++i) scores[j][2 * half + e] += a[half].v[i] * b.v[i];
      }
  }
}

/// result += p . other rows, by FFMA. The four lanes of a row give each other their columns of p.
template <int kWidth>
__device__ void add_product(const Scores& p, const SharedArray<float>& other, Result<kWidth>& result) {
  check_width<kWidth>();
  const int lane = int(threadIdx.x) % kWarpSize, t = lane % 4;
#pragma unroll
  for (int k = 0; k < kOther; ++k) {
    float a[2];
    for (int half = 0; half < 2; ++half)
      a[half] = __shfl_sync(~0u, p[k / 8][2 * half + k % 2], (lane & ~3) | (k % 8 / 2));
#pragma unroll
    for (int j = 0; j < kWidth / 8; ++j) {
      const auto b = load<2>(&other[k * kPitch<float, kWidth> + 8 * j + 2 * t]);
      for (int half = 0; half < 2; ++half)
        for (int e = 0; e < 2; ++e) result[j][2 * half + e] += a[half] * b.v[e];
    }
  }
}

/// scores += own rows . other rows, over kWidth channels, by tensor cores.
template <int kWidth>
__device__ void add_rows_product(const SharedArray<bf16>& own, const SharedArray<bf16>& other,
                                 Scores& scores) {
  check_width<kWidth>();
  constexpr int kPitchHere = kPitch<bf16, kWidth>;
  const int warp = int(threadIdx.x) / kWarpSize, lane = int(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int c = 0; c < kWidth; c += 16) {
    uint32_t a[4];
    ldmatrix_x4(a, &own[(warp * kWarpRows + lane % 16) * kPitchHere + c + lane / 16 * 8]);
#pragma unroll
    for (int j = 0; j < kOther / 8; j += 2) {
      uint32_t b[4];  // of groups j and j + 1
      const int row = 8 * j + lane / 16 * 8 + lane % 8, column = c + lane / 8 % 2 * 8;
      ldmatrix_x4(b, &other[row * kPitchHere + column]);
      mma_bf16(scores[j], a, {b[0], b[1]});
      mma_bf16(scores[j + 1], a, {b[2], b[3]});
    }
  }
}

/// Two neighbours of a row, as an operand holds them.
__device__ inline uint32_t rounded_pair(float first, float second) {
  return narrow<bf16>(first).bits | uint32_t(narrow<bf16>(second).bits) << 16;
}

/// result += p . other rows, by tensor cores: p is rounded to bf16; its layout is that of their operand already.
template <int kWidth>
__device__ void add_product(const Scores& p, const SharedArray<bf16>& other, Result<kWidth>& result) {
  check_width<kWidth>();
  const int lane = int(threadIdx.x) % kWarpSize;
#pragma unroll
  for (int k = 0; k < kOther; k += 16) {
    uint32_t a[4];
    for (int i = 0; i < 4; ++i) {
      const float(&group)[4] = p[k / 8 + i / 2];
      a[i] = rounded_pair(group[2 * (i % 2)], group[2 * (i % 2) + 1]);
    }
#pragma unroll
    for (int j = 0; j < kWidth / 8; j += 2) {
      uint32_t b[4];  // of groups j and j + 1
      ldmatrix_x4_trans(b, &other[(k + lane % 16) * kPitch<bf16, kWidth> + 8 * j + lane / 16 * 8]);
      mma_bf16(result[j], a, {b[0], b[1]});
      mma_bf16(result[j + 1], a, {b[2], b[3]});
    }
  }
}

}  // namespace ito::kernels::attention
