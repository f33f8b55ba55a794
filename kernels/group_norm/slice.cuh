#pragma once

#include <algorithm>
#include <initializer_list>

#include "kernels/cuda_async.cuh"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "kernels/group_norm.h"

/// How GroupNorm's work is cut. A block takes slices of images one after the other: `slice` neighbouring channels,
/// which are whole groups and at least a memory sector wide, in all pixels. Its threads stand as rows x columns;
/// a thread owns one vector of V channels in every rows-th pixel, so what it needs of a channel stays in its
/// registers and what it puts into shared memory it alone reads again. Enough pixels a thread that the sums
/// over threads and what is read of each channel cost little beside them.
namespace ito::kernels::group_norm {

inline constexpr int kThreads = 512;      // of a block, at most
inline constexpr int kFewThreads = 128;   // narrower slices are widened until they have these
inline constexpr int kSectorBytes = 32;
inline constexpr int kInFlight = 4;       // vectors that a thread asks for before it uses the first
inline constexpr int kManyPixels = 1024;  // of an image, from which on a thread takes two rounds of them

/// How a launch is cut; the same for all blocks.
struct Plan {
  int n, hw, c1, c2, groups, group_channels;
  float eps;
  Activation activation;
  int slice;          // channels of a slice; the last of an image may have fewer
  int vectors;        // of a slice
  int slices;         // of an image
  int rows, columns;  // of threads
  int held;           // pixels that the block keeps in shared memory, of each tensor
  __device__ int items() const { return n * slices; }
};

/// A slice.
struct Place {
  int n, first_channel, channels, vectors;

  __device__ Place(const Plan& plan, int item, int width) {
    n = item / plan.slices;
    first_channel = item % plan.slices * plan.slice;
    channels = min(plan.slice, plan.c1 + plan.c2 - first_channel);
    vectors = channels / width;
  }
};

/// A thread's place in it.
struct Thread {
  int row, column;  // row >= rows: it has no part in the table
  __device__ explicit Thread(const Plan& plan)
      : row(int(threadIdx.x) / plan.columns), column(int(threadIdx.x) % plan.columns) {}
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

/// Calls use(pixel, v) for the thread's pixels from `first` on, v[k] being the vector of columns[k] there.
template <int V, class T, int N, class Use>
__device__ void each_pixel(const Plan& plan, int first, const Column<const T> (&columns)[N], Use use) {
  constexpr int kBatch = kInFlight / N;
  for (; first < plan.hw; first += kBatch * plan.rows) {
    Pack<T, V> batch[kBatch][N];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int pixel = first + b * plan.rows;
      if (pixel >= plan.hw) continue;
#pragma unroll
      for (int k = 0; k < N; ++k) batch[b][k] = load<V>(columns[k].at(pixel));
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int pixel = first + b * plan.rows;
      if (pixel < plan.hw) use(pixel, batch[b]);
    }
  }
}

/// What the block holds of N tensors; each thread's own vectors. Those of the next slice are asked for in their
/// place as soon as they have been read for the last time, so that memory is busy while the block computes.
template <class T, int V, int N>
class Held {
 public:
  using Columns = Column<const T>[N];
  static constexpr bool kAhead = sizeof(Pack<T, V>) == 16;  // what cp.async moves

  __device__ Held(const Plan& plan, SharedMemory& shared, int row)
      : plan_(plan), memory_(shared.take<Pack<T, V>>(N * plan.held * plan.vectors)), row_(row) {
    const int count = (plan.held - row + plan.rows - 1) / plan.rows;
    part_ = (count + kParts - 1) / kParts * plan.rows;
  }

  /// Asks for all that will be held of a column of vectors.
  __device__ void ask(const Columns& columns, int vector) const {
    if constexpr (kAhead)
      for (int part = 0; part < kParts; ++part) {
        each_of(part, [&](int pixel) { ask(columns, vector, pixel); });
        cp_commit();
      }
  }

  /// Calls use(v) for the thread's pixels, what was asked for first. only: nothing else has been asked for since.
  template <class Use>
  __device__ void read(const Columns& columns, int vector, bool only, Use use) const {
    if constexpr (kAhead) {
      const auto use_part = [&](int part) {
        each_of(part, [&](int pixel) {
          Pack<T, V> value[N];
          get(value, vector, pixel);
          use(value);
        });
      };
      if (!only) cp_wait<0>();
      cp_wait<3>(), use_part(0);
      cp_wait<2>(), use_part(1);
      cp_wait<1>(), use_part(2);
      cp_wait<0>(), use_part(3);
      each_pixel<V>(plan_, plan_.held + row_, columns,
                    [&](int, const Pack<T, V>(&value)[N]) { use(value); });
    } else {
      each_pixel<V>(plan_, row_, columns, [&](int pixel, const Pack<T, V>(&value)[N]) {
        use(value);
        if (pixel >= plan_.held) return;
        for (int k = 0; k < N; ++k) memory_[slot(k, vector, pixel)] = value[k];
      });
    }
  }

  /// Calls use(pixel, v) for the thread's pixels again, first for those that are not held, since the caches have
  /// seen them last; and, if `asks`, asks for those of the next slice.
  template <class Use>
  __device__ void read_again(const Columns& columns, int vector, const Columns& next, bool asks, Use use) const {
    each_pixel<V>(plan_, plan_.held + row_, columns, use);
    for (int part = 0; part < kParts; ++part) {
      each_of(part, [&](int pixel) {
        Pack<T, V> value[N];
        get(value, vector, pixel);
        use(pixel, value);
        if (asks) ask(next, vector, pixel);
      });
      if (kAhead) cp_commit();
    }
  }

 private:
  static constexpr int kParts = 4;

  __device__ int slot(int k, int vector, int pixel) const {
    return (k * plan_.held + pixel) * plan_.vectors + vector;
  }
  __device__ void ask(const Columns& columns, int vector, int pixel) const {
    if constexpr (kAhead)
      for (int k = 0; k < N; ++k) cp_async16(&memory_[slot(k, vector, pixel)], columns[k].at(pixel), true);
  }
  __device__ void get(Pack<T, V> (&value)[N], int vector, int pixel) const {
    for (int k = 0; k < N; ++k) value[k] = memory_[slot(k, vector, pixel)];
  }
  /// The thread's pixels of one of the parts that are waited for singly.
  template <class Use>
  __device__ void each_of(int part, Use use) const {
    const int end = min(plan_.held, row_ + (part + 1) * part_);
    for (int pixel = row_ + part * part_; pixel < end; pixel += plan_.rows) use(pixel);
  }

  const Plan& plan_;
  SharedArray<Pack<T, V>> memory_;
  int row_, part_;
};

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

/// slot_bytes: what a thread hands over in a reduction; tensors: how many the block would hold; numbers: floats
/// that it keeps for each channel.
template <class T, int V>
Cut make_plan(const CudaStream& stream, const GroupNormDims& d, size_t slot_bytes, int tensors, int numbers) {
  const int group_channels = d.c() / d.groups;
  const int pixels_each = d.hw >= kManyPixels ? 4 * kInFlight : 2 * kInFlight;
  const int most_rows = (d.hw + pixels_each - 1) / pixels_each;
  const auto good = [&](int channels) {
    const int bytes = channels * int(sizeof(T));
    return (V == 1 ? bytes >= kSectorBytes : bytes % kSectorBytes == 0) &&
           channels / V * most_rows >= kFewThreads;
  };
  int block_groups = 1;
  while (block_groups < d.groups && !good(block_groups * group_channels)) ++block_groups;
  const int slice = block_groups * group_channels, vectors = slice / V, slices = (d.c() + slice - 1) / slice;
  const int columns = std::min(vectors, kThreads), rows = std::clamp(kThreads / columns, 1, most_rows);
  const size_t work = shared_size<char>(slot_bytes * rows * columns) + numbers * shared_size<float>(slice) +
                      2 * shared_size<float>(block_groups);
  // All pixels, or as many of the threads' rows of them as there is room for.
  const size_t limit = stream.shared_limit(), pixel_bytes = tensors * vectors * sizeof(Pack<T, V>);
  const size_t room = limit > work + 16 ? (limit - work - 16) / pixel_bytes : 0;
  const int held = room >= size_t(d.hw) ? d.hw : int(room) / rows * rows;
  Cut result{{d.n, d.hw, d.c1, d.c2, d.groups, group_channels, d.eps, d.activation, slice, vectors, slices,
              rows, columns, held},
             {}};
  LaunchConfig& config = result.config;
  config.shared_bytes = work + shared_size<Pack<T, V>>(size_t(held) * tensors * vectors);
  // Where several blocks share a multiprocessor, one computes while another waits for memory; a block that has
  // one for itself goes on to the next slice instead.
  const int items = d.n * slices;
  const bool alone = 2 * config.shared_bytes > limit;
  config.grid = dim3(unsigned(alone ? std::min(items, stream.multiprocessors()) : items));
  config.block = dim3(unsigned((rows * columns + kWarpSize - 1) / kWarpSize * kWarpSize));
  return result;
}

}  // namespace ito::kernels::group_norm
