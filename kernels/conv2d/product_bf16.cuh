#pragma once

#include "kernels/conv2d/tile.cuh"
#include "kernels/cuda_mma.cuh"

namespace ito::kernels::conv2d {

/// A block's tile of the result, lines x columns, and how it is cut: warp_rows x warp_columns a warp.
template <int lines, int columns, int warp_rows, int warp_columns>
struct Bf16Shape {
  static constexpr int kM = lines, kN = columns, kDepth = 32, kStages = 4;
  static constexpr int kWarpM = warp_rows, kWarpN = warp_columns;
  static constexpr int kThreads = lines / warp_rows * (columns / warp_columns) * kWarpSize;
  static_assert(warp_rows % 16 == 0 && warp_columns % 16 == 0 && kDepth % 16 == 0,
                "mma.sync and ldmatrix take 16 lines and 16 depths at a time");
  static_assert(lines % warp_rows == 0 && columns % warp_columns == 0,
                "the warps cover the tile without a rest");
  static_assert(kThreads <= 1024, "a block has at most 1024 threads");
};

/// How a warp reads its fragments of a tile: 16 lines x 16 depths as four 8 x 8 matrices, of which each lane
/// points at one row. `lines_first`: the order of the four, as the mma's registers want them.
template <class Layout, int blocks, int steps, bool lines_first>
class Fragments {
 public:
  __device__ Fragments(int first_line, int lane) {
    const int low = lane % 8, inner = lane / 8 % 2, outer = lane / 16;
    const int line = first_line + (lines_first ? inner : outer) * 8;
    const int depth = (lines_first ? outer : inner) * 8;
#pragma unroll
    for (int i = 0; i < kSlots; ++i)
      slots_[i] = Layout::kAlongDepth ? Layout::slot(line + low, (depth + i * 16) / 8)
                                      : Layout::slot(depth + low, (line + i * 16) / 8);
  }
  /// Of 16 lines and 16 depths, by number.
  __device__ void read(uint32_t (&to)[4], const SharedArray<Pack<bf16, 8>>& tiles, int offset, int block,
                       int step) const {
    // 16 rows on, packs are exchanged as before.
    constexpr int kRows = 16 * Layout::kRowPacks;
    if constexpr (Layout::kAlongDepth)
      ldmatrix_x4(to, tiles[offset + slots_[step] + block * kRows].v);
    else
      ldmatrix_x4_trans(to, tiles[offset + slots_[block] + step * kRows].v);
  }

 private:
  static constexpr int kSlots = Layout::kAlongDepth ? steps : blocks;  // NOLINT(bugprone-branch-clone)
  int slots_[kSlots];
};

/// bf16 tiles multiplied on the tensor cores, sums in f32. Each sum takes 16 depths at a time in ascending
/// order, so its bits do not depend on the shape.
template <class Shape, class LayoutA, class LayoutB>
class Bf16Product {
 public:
  using TilePack = Pack<bf16, 8>;
  static constexpr int kNeighbours = 2;

  /// Every tile is computed whole: a warp's lanes have to stay together.
  __device__ Bf16Product(int, int)
      : lane_(int(threadIdx.x) % kWarpSize),
        row_(int(threadIdx.x) / kWarpSize / kAcross * Shape::kWarpM),
        column_(int(threadIdx.x) / kWarpSize % kAcross * Shape::kWarpN),
        a_(row_, lane_),
        b_(column_, lane_) {}

  __device__ void add(const SharedArray<TilePack>& a_tiles, int a_offset,
                      const SharedArray<TilePack>& b_tiles, int b_offset) {
    // Two sets of fragments: the next step's are on their way while this one's are multiplied.
    uint32_t a[2][kRows][4], b[2][kColumns][4];
    const auto read_step = [&](int step) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) a_.read(a[step % 2][i], a_tiles, a_offset, i, step);
#pragma unroll
      for (int j = 0; j < kColumns; ++j) b_.read(b[step % 2][j], b_tiles, b_offset, j, step);
    };
    read_step(0);
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      if (step + 1 < kSteps) read_step(step + 1);
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int j = 0; j < 2 * kColumns; ++j) {
          const uint32_t(&pair)[4] = b[step % 2][j / 2];
          mma_bf16(sums_[i][j], a[step % 2][i], {pair[j % 2 * 2], pair[j % 2 * 2 + 1]});
        }
    }
  }

  /// f(row, column, sums) for each pair of neighbouring sums of this thread.
  template <class F>
  __device__ void each(F&& f) const {
    const int row = row_ + lane_ / 4, column = column_ + lane_ % 4 * 2;
#pragma unroll
    for (int i = 0; i < kRows; ++i)
#pragma unroll
      for (int j = 0; j < 2 * kColumns; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          f(row + i * 16 + half * 8, column + j * 8,
            Pack<float, 2>{{sums_[i][j][2 * half], sums_[i][j][2 * half + 1]}});
  }

 private:
  static constexpr int kAcross = Shape::kN / Shape::kWarpN, kSteps = Shape::kDepth / 16;
  static constexpr int kRows = Shape::kWarpM / 16, kColumns = Shape::kWarpN / 16;

  int lane_, row_, column_;
  Fragments<LayoutA, kRows, kSteps, true> a_;
  Fragments<LayoutB, kColumns, kSteps, false> b_;
  float sums_[kRows][2 * kColumns][4] = {};
};

}  // namespace ito::kernels::conv2d
