#pragma once

#include <algorithm>
#include <initializer_list>

#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "kernels/group_norm.h"

/// How GroupNorm's work is cut. A block takes a slice of one image: `slice` neighbouring channels, which are
/// whole groups and at least a memory sector wide, in all pixels. Its threads stand as rows x columns; a
/// thread owns one vector of V channels in every rows-th pixel, so what it needs of a channel stays in its
/// registers and what it puts into shared memory it alone reads again.
namespace ito::kernels::group_norm {

inline constexpr int kThreads = 512;

/// How a launch is cut; the same for all blocks.
struct Plan {
  int hw, c1, c2, groups, group_channels;
  float eps;
  Activation activation;
  int slice;          // channels of a block; the last of an image may have fewer
  int rows, columns;  // of threads
  int held;           // vectors of a tensor that the block keeps in shared memory: all of its slice, or 0
};

inline constexpr int kInFlight = 4;  // vectors that a thread asks for before it uses the first
inline constexpr int kSectorBytes = 32;

/// A block's slice and a thread's place in it.
struct Place {
  int n, first_channel, channels, vectors;
  int row, column;  // row >= rows: the thread has no part in the table

  __device__ Place(const Plan& plan, int width) {
    n = int(blockIdx.y);
    first_channel = int(blockIdx.x) * plan.slice;
    channels = min(plan.slice, plan.c1 + plan.c2 - first_channel);
    vectors = channels / width;
    row = int(threadIdx.x) / plan.columns;
    column = int(threadIdx.x) % plan.columns;
  }
};

/// The same channels in all pixels of an image: pixel r stands at data + r * stride. No data: not wanted.
template <class T>
struct Column {
  T* data;
  int64_t stride;
  __device__ T* at(int pixel) const { return data + pixel * stride; }
};

/// Of the concatenation of x [N,HW,c1] and x2 [N,HW,c2] along channels.
template <class T>
__device__ Column<T> source_column(const Plan& plan, T* x, T* x2, int n, int channel) {
  const bool second = channel >= plan.c1;
  const int width = second ? plan.c2 : plan.c1;
  T* const base = second ? x2 : x;
  return {base ? base + int64_t(n) * plan.hw * width + (second ? channel - plan.c1 : channel) : nullptr,
          width};
}
/// Of a tensor [N,HW,C].
template <class T>
__device__ Column<T> whole_column(const Plan& plan, T* y, int n, int channel) {
  const int width = plan.c1 + plan.c2;
  return {y + int64_t(n) * plan.hw * width + channel, width};
}

/// Calls use(pixel, v) for the thread's pixels, v[k] being the vector of columns[k] there. The first pass
/// keeps what it reads in `held` where the block can hold it; the second takes it from there.
template <bool kFirst, int V, class T, int N, class Use>
__device__ void each_pixel(const Plan& plan, const Place& place, int vector,
                           const Column<const T> (&columns)[N], const SharedArray<Pack<T, V>>& held,
                           Use use) {
  constexpr int kBatch = kInFlight / N;
  for (int first = place.row; first < plan.hw; first += kBatch * plan.rows) {
    Pack<T, V> batch[kBatch][N];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int pixel = first + b * plan.rows;
      if (pixel >= plan.hw) continue;
      for (int k = 0; k < N; ++k)
        batch[b][k] = !kFirst && plan.held ? held[k * plan.held + pixel * place.vectors + vector]
                                           : load<V>(columns[k].at(pixel));
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int pixel = first + b * plan.rows;
      if (pixel >= plan.hw) continue;
      use(pixel, batch[b]);
      if (kFirst && plan.held)
        for (int k = 0; k < N; ++k) held[k * plan.held + pixel * place.vectors + vector] = batch[b][k];
    }
  }
}

/// Whether 16-byte accesses are possible: they may not straddle the two sources.
template <class T>
bool is_wide(const GroupNormDims& d, std::initializer_list<const void*> operands) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return d.c1 % kWideVector<T> == 0 && d.c2 % kWideVector<T> == 0 &&
         std::all_of(operands.begin(), operands.end(), aligned);
}

struct Cut {
  Plan plan;
  LaunchConfig config;
};

/// slot_bytes: what a thread hands over in a reduction; tensors: how many the block would hold.
template <class T, int V>
Cut make_plan(const GroupNormDims& d, size_t slot_bytes, int tensors, size_t shared_limit) {
  const int group_channels = d.c() / d.groups;
  int block_groups = 1;
  const auto good = [&](int bytes) { return V == 1 ? bytes >= kSectorBytes : bytes % kSectorBytes == 0; };
  while (block_groups < d.groups && !good(block_groups * group_channels * int(sizeof(T)))) ++block_groups;
  const int slice = block_groups * group_channels, vectors = slice / V;
  const int columns = std::min(vectors, kThreads);
  const int rows = std::clamp((d.hw + kInFlight - 1) / kInFlight, 1, kThreads / columns);
  const size_t all = size_t(d.hw) * vectors;
  const size_t work = (slot_bytes * rows * columns + 15) / 16 * 16 + 2 * shared_size<float>(slice) +
                      2 * shared_size<float>(block_groups);
  const size_t hold = tensors * shared_size<Pack<T, V>>(all);
  const bool holds = work + hold <= shared_limit;
  Cut result{{d.hw, d.c1, d.c2, d.groups, group_channels, d.eps, d.activation, slice, rows, columns,
              holds ? int(all) : 0},
             {}};
  result.config.grid = dim3(unsigned((d.c() + slice - 1) / slice), unsigned(d.n));
  result.config.block = dim3(unsigned((rows * columns + kWarpSize - 1) / kWarpSize * kWarpSize));
  result.config.shared_bytes = work + (holds ? hold : 0);
  return result;
}

}  // namespace ito::kernels::group_norm
