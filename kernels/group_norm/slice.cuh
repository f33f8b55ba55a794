#pragma once

#include <algorithm>
#include <initializer_list>

#include "kernels/base/math.h"
#include "kernels/cuda_async.cuh"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_launch.h"
#include "kernels/group_norm.h"

/// How GroupNorm's work is divided. A block takes a slice of one image: `slice` neighbouring channels, which are whole
/// groups and at least a memory sector wide, in all pixels. Its threads form a table, rows x columns. A thread owns one
/// pack of V channels in every rows-th pixel, so what it needs of a channel stays in its registers, and what it puts
/// into shared memory only the thread itself reads again. A thread has enough pixels that the sums over threads and
/// the numbers of each channel cost little in comparison.
namespace ito::kernels::group_norm {

inline constexpr int kThreads = 512;     // of a block, at most
inline constexpr int kFewThreads = 128;  // of a block, at least where the groups allow it
inline constexpr int kSectorBytes = 32, kLineBytes = 128;
static_assert(kThreads % kWarpSize == 0,
              "the launch rounds a block's threads up to whole warps, at most to kThreads");
static_assert(kFewThreads <= kThreads, "a slice with enough packs for kFewThreads has to exist");
/// Pixels of a thread, in images of fewer and of at least kManyPixels.
inline constexpr int kFewEach = 8, kManyEach = 16, kManyPixels = 1024;
inline constexpr int kInFlight = 4;  // packs that a thread loads before it uses the first

/// How a launch is divided; the same for all blocks.
struct Slicing {
  int hw, c1, c2, groups, group_channels;
  int affine_stride;  // from one sample's gamma and beta to the next's: C, or 0 where they share them
  float eps;
  Activation activation;
  int slice;          // channels of a block; the last of an image may have fewer
  int rows, columns;  // of threads
  int shared_pixels;  // that the block keeps in shared memory, of each tensor
};

/// A block's slice and a thread's position in it.
struct SlicePosition {
  int n, first_channel, channels, packs;
  int row, column;  // row >= rows: the thread has no part in the table

  __device__ SlicePosition(const Slicing& slicing, int width) {
    n = int(blockIdx.y);
    first_channel = int(blockIdx.x) * slicing.slice;
    channels = min(slicing.slice, slicing.c1 + slicing.c2 - first_channel);
    packs = channels / width;
    row = int(threadIdx.x) / slicing.columns;
    column = int(threadIdx.x) % slicing.columns;
  }
};

/// Moves gamma and beta to those of the block's sample: once, since an offset where they are read takes registers.
template <class Args>
__device__ void to_sample(const Slicing& slicing, const SlicePosition& position, Args& args) {
  args.gamma += int64_t(position.n) * slicing.affine_stride;
  args.beta += int64_t(position.n) * slicing.affine_stride;
}

/// The same channels in all pixels of an image: pixel r is at data + r * stride. Null data: not wanted.
template <class T>
struct Column {
  T* data;
  int64_t stride;
  __device__ T* at(int pixel) const { return data + pixel * stride; }
};

/// The column at `channel` of the concatenation of x [N,HW,c1] and x2 [N,HW,c2] along channels.
template <class T>
__device__ Column<T> concat_column(const Slicing& slicing, T* x, T* x2, int n, int channel) {
  const bool second = channel >= slicing.c1;
  const int width = second ? slicing.c2 : slicing.c1;
  T* const base = second ? x2 : x;
  return {base ? base + int64_t(n) * slicing.hw * width + (second ? channel - slicing.c1 : channel) : nullptr,
          width};
}
/// The column at `channel` of a tensor [N,HW,C].
template <class T>
__device__ Column<T> tensor_column(const Slicing& slicing, T* y, int n, int channel) {
  const int width = slicing.c1 + slicing.c2;
  return {y + int64_t(n) * slicing.hw * width + channel, width};
}

/// Calls use(pixel, v) for the thread's pixels from `first` on, v[k] being the pack of columns[k] there.
template <int V, class T, int N, class Use>
__device__ void each_pixel(const Slicing& slicing, int first, const Column<const T> (&columns)[N], Use use) {
  static_assert(N <= kInFlight, "a thread loads a pack of each tensor at a time, or more");
  constexpr int kBatch = kInFlight / N;
  for (; first < slicing.hw; first += kBatch * slicing.rows) {
    Pack<T, V> batch[kBatch][N];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int pixel = first + b * slicing.rows;
      if (pixel >= slicing.hw) continue;
#pragma unroll
      for (int k = 0; k < N; ++k) batch[b][k] = load<V>(columns[k].at(pixel));
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int pixel = first + b * slicing.rows;
      if (pixel < slicing.hw) use(pixel, batch[b]);
    }
  }
}

/// The part of N tensors' slices that a block keeps in shared memory. A thread sees its own packs of it.
template <class T, int V, int N>
class SharedSlice {
 public:
  using Columns = Column<const T>[N];

  __device__ SharedSlice(const Slicing& slicing, const SlicePosition& position, SharedMemory& shared)
      : slicing_(slicing),
        position_(position),
        memory_(shared.take<Pack<T, V>>(N * slicing.shared_pixels * position.packs)) {
    part_ = div_up(div_up(slicing.shared_pixels - position.row, slicing.rows), kParts) * slicing.rows;
  }

  /// Calls use(v) for all of the thread's pixels, and keeps those that there is room for.
  template <class Use>
  __device__ void read(const Columns& columns, int pack, Use use) const {
    if constexpr (sizeof(Pack<T, V>) == 16) {
      // All that is kept is copied at once, past registers and the L1 cache, neither of which has room for it.
      for (int part = 0; part < kParts; ++part) {
        each_of(part, [&](int pixel) {
          for (int k = 0; k < N; ++k) cp_async16(&memory_[slot(k, pack, pixel)], columns[k].at(pixel), true);
        });
        cp_commit();
      }
      const auto use_part = [&](int part) {
        each_of(part, [&](int pixel) {
          Pack<T, V> value[N];
          get(value, pack, pixel);
          use(value);
        });
      };
      static_assert(kParts == 4, "each part is waited for below, with the number of parts still under way");
      cp_wait<3>(), use_part(0);
      cp_wait<2>(), use_part(1);
      cp_wait<1>(), use_part(2);
      cp_wait<0>(), use_part(3);
      each_pixel<V>(slicing_, slicing_.shared_pixels + position_.row, columns,
                    [&](int, const Pack<T, V>(&value)[N]) { use(value); });
    } else {
      each_pixel<V>(slicing_, position_.row, columns, [&](int pixel, const Pack<T, V>(&value)[N]) {
        use(value);
        if (pixel >= slicing_.shared_pixels) return;
        for (int k = 0; k < N; ++k) memory_[slot(k, pack, pixel)] = value[k];
      });
    }
  }

  /// Calls use(pixel, v) for the thread's pixels again, first for those that are not kept: they were read last, so the
  /// caches still have them.
  template <class Use>
  __device__ void read_again(const Columns& columns, int pack, Use use) const {
    each_pixel<V>(slicing_, slicing_.shared_pixels + position_.row, columns, use);
#pragma unroll 4
    for (int pixel = position_.row; pixel < slicing_.shared_pixels; pixel += slicing_.rows) {
      Pack<T, V> value[N];
      get(value, pack, pixel);
      use(pixel, value);
    }
  }

 private:
  static constexpr int kParts = 4;

  __device__ int slot(int k, int pack, int pixel) const {
    return (k * slicing_.shared_pixels + pixel) * position_.packs + pack;
  }
  __device__ void get(Pack<T, V> (&value)[N], int pack, int pixel) const {
    for (int k = 0; k < N; ++k) value[k] = memory_[slot(k, pack, pixel)];
  }
  /// Calls use(pixel) for the thread's pixels in one of the parts that it waits for one by one.
  template <class Use>
  __device__ void each_of(int part, Use use) const {
    const int end = min(slicing_.shared_pixels, position_.row + (part + 1) * part_);
    for (int pixel = position_.row + part * part_; pixel < end; pixel += slicing_.rows) use(pixel);
  }

  const Slicing& slicing_;
  const SlicePosition& position_;
  SharedArray<Pack<T, V>> memory_;
  int part_;
};

/// Calls f with the width of the packs to move, which may not straddle the two sources.
template <class T, class F>
void visit_sources(const GroupNormDims& d, std::initializer_list<const void*> operands, F&& f) {
  constexpr int V = kPackWidth<T>;
  visit_width<V>(are_aligned(operands) && are_whole_packs<V>({d.c1, d.c2}), f);
}

struct Cut {
  Slicing slicing;
  LaunchConfig config;
};

/// The division into slices at least `width` bytes wide. slot_bytes: a thread's state in a reduction; tensors: how many
/// the block would keep in shared memory; numbers: floats that it keeps there for each channel.
template <class T, int V>
Cut cut(const GroupNormDims& d, int width, size_t slot_bytes, int tensors, int numbers, size_t shared_limit) {
  const int group_channels = d.c() / d.groups;
  const int pixels_each = d.hw >= kManyPixels ? kManyEach : kFewEach;
  const int most_rows = div_up(d.hw, pixels_each);
  const auto good = [&](int channels) {
    const int bytes = channels * int(sizeof(T));
    return (V == 1 ? bytes >= width : bytes % width == 0) && channels / V * most_rows >= kFewThreads;
  };
  int block_groups = 1;
  while (block_groups < d.groups && !good(block_groups * group_channels)) ++block_groups;
  const int slice = block_groups * group_channels, packs = slice / V;
  const int columns = std::min(packs, kThreads), rows = std::clamp(kThreads / columns, 1, most_rows);
  const size_t work = shared_size<char>(slot_bytes * rows * columns) + numbers * shared_size<float>(slice) +
                      2 * shared_size<float>(block_groups);
  if (work > shared_limit)
    fail(cat("group_norm: a group of ", group_channels, " channels needs ", work >> 10,
             " KiB of shared memory, and a block has ", shared_limit >> 10, ": use more groups"));
  // All pixels, or as many of the threads' rows of them as there is room for.
  const size_t pixel_bytes = tensors * packs * sizeof(Pack<T, V>);
  const size_t room = shared_limit > work + 16 ? (shared_limit - work - 16) / pixel_bytes : 0;
  const int shared_pixels = room >= size_t(d.hw) ? d.hw : int(room) / rows * rows;
  Cut result{{d.hw, d.c1, d.c2, d.groups, group_channels, d.affine_per_sample ? d.c() : 0, d.eps,
              d.activation, slice, rows, columns, shared_pixels},
             {}};
  result.config.grid = dim3(unsigned(div_up(d.c(), slice)), unsigned(d.n));
  result.config.block = dim3(unsigned(align_up(rows * columns, kWarpSize)));
  result.config.shared_bytes = work + shared_size<Pack<T, V>>(size_t(shared_pixels) * tensors * packs);
  return result;
}

/// The L2 cache answers as many requests for 32 bytes as for 64, so slices are two sectors wide where two such blocks
/// share a multiprocessor, and one sector otherwise. Where even that does not fit into shared memory, the rest is read
/// twice anyway and slices are a cache line wide. The choice is made for an H100 whatever the card, so that results
/// have the same bits on all of them.
template <class T, int V>
Cut make_slicing(const GroupNormDims& d, size_t slot_bytes, int tensors, int numbers, size_t shared_limit) {
  constexpr size_t kUsualLimit = 227 * 1024, kReserved = 1024;  // of a multiprocessor less, and of each block
  const auto of_width = [&](int width, size_t limit) {
    return cut<T, V>(d, width, slot_bytes, tensors, numbers, limit);
  };
  int width = 2 * kSectorBytes;
  if (2 * (of_width(width, kUsualLimit).config.shared_bytes + kReserved) > kUsualLimit + kReserved) {
    width = kSectorBytes;
    if (of_width(width, kUsualLimit).slicing.shared_pixels < d.hw) width = kLineBytes;
  }
  return of_width(width, shared_limit);
}

}  // namespace ito::kernels::group_norm
