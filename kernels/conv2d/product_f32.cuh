#pragma once

#include "kernels/conv2d/tile.cuh"

namespace ito::kernels::conv2d {

/// A block's tile of the result, lines x columns, and how it is cut: `rows` x `columns` sums a thread.
template <int lines, int columns, int thread_rows, int thread_columns>
struct F32Shape {
  static constexpr int kM = lines, kN = columns, kDepth = 16, kStages = 4;
  static constexpr int kRows = thread_rows, kColumns = thread_columns;
  static constexpr int kThreads = lines / thread_rows * (columns / thread_columns);
  static_assert(lines % thread_rows == 0 && columns % thread_columns == 0,
                "the threads cover the tile without a rest");
  static_assert(kThreads % kWarpSize == 0 && kThreads <= 1024,
                "a block is whole warps, of at most 1024 threads");
  static_assert(kDepth % 4 == 0, "four depths are read at a time");
};

/// f32 tiles multiplied by fused multiply-adds. Each sum runs over the depth in ascending order, so its bits
/// do not depend on the shape.
template <class Shape, class LayoutA, class LayoutB>
class F32Product {
 public:
  using TilePack = Pack<float, 4>;
  static constexpr int kNeighbours = 1;

  /// rows, columns: of the tile, those that exist.
  __device__ F32Product(int rows, int columns)
      : row_(int(threadIdx.x) / kAcross),
        column_(int(threadIdx.x) % kAcross),
        works_(number<LayoutA, kDown>(row_, 0) < rows && number<LayoutB, kAcross>(column_, 0) < columns) {}

  __device__ void add(const SharedArray<TilePack>& a_tiles, int a_offset,
                      const SharedArray<TilePack>& b_tiles, int b_offset) {
    if (!works_) return;
#pragma unroll
    for (int depth = 0; depth < Shape::kDepth; depth += 4) {
      float a[4][Shape::kRows], b[4][Shape::kColumns];
      read<LayoutA, kDown>(a, a_tiles, a_offset, row_, depth);
      read<LayoutB, kAcross>(b, b_tiles, b_offset, column_, depth);
#pragma unroll
      for (int d = 0; d < 4; ++d)
#pragma unroll
        for (int i = 0; i < Shape::kRows; ++i)
#pragma unroll
          for (int j = 0; j < Shape::kColumns; ++j) sums_[i][j] += a[d][i] * b[d][j];
    }
  }

  /// f(row, column, sum) for each of this thread's sums.
  template <class F>
  __device__ void each(F&& f) const {
#pragma unroll
    for (int i = 0; i < Shape::kRows; ++i)
#pragma unroll
      for (int j = 0; j < Shape::kColumns; ++j)
        f(number<LayoutA, kDown>(row_, i), number<LayoutB, kAcross>(column_, j),
          Pack<float, 1>{{sums_[i][j]}});
  }

 private:
  static constexpr int kDown = Shape::kM / Shape::kRows, kAcross = Shape::kN / Shape::kColumns;

  /// The i-th line of thread number `thread`, such that neighbouring threads read neighbouring packs.
  template <class Layout, int threads>
  static __device__ int number(int thread, int i) {
    return Layout::kAlongDepth ? thread + i * threads : (thread + i / 4 * threads) * 4 + i % 4;
  }

  /// Four depths of this thread's lines, by accesses of 16 bytes.
  template <class Layout, int threads, int count>
  static __device__ void read(float (&to)[4][count], const SharedArray<TilePack>& tiles, int offset,
                              int thread, int depth) {
    static_assert(count % 4 == 0 || Layout::kAlongDepth,
                  "packs along the lines hold four of a thread's lines");
#pragma unroll
    for (int i = 0; i < count; i += Layout::kAlongDepth ? 1 : 4) {
#pragma unroll
      for (int d = 0; d < 4; d += Layout::kAlongDepth ? 4 : 1) {
        const int slot = Layout::kAlongDepth ? Layout::slot(thread + i * threads, depth / 4)
                                             : Layout::slot(depth + d, thread + i / 4 * threads);
        const TilePack pack = tiles[offset + slot];
#pragma unroll
        for (int e = 0; e < 4; ++e) (Layout::kAlongDepth ? to[e][i] : to[d][i + e]) = pack.v[e];
      }
    }
  }

  int row_, column_;
  bool works_;
  float sums_[Shape::kRows][Shape::kColumns] = {};
};

}  // namespace ito::kernels::conv2d
