#pragma once

#include <utility>

#include "kernels/base/math.h"
#include "kernels/conv2d/operands.cuh"
#include "kernels/cuda_async.cuh"

namespace ito::kernels::conv2d {

/// How a piece of an operand, lines x depths, lies in shared memory: rows along whichever of the two is
/// contiguous in memory, in packs of 16 bytes. Eight packs pass at a time, 128 bytes; the packs of a row
/// are exchanged so that eight neighbouring rows' packs of the same number never share a bank.
template <class T, int lines, int depths, bool along_depth>
struct TileLayout {
  static constexpr bool kAlongDepth = along_depth;
  static constexpr int kWidth = kPackWidth<T>;
  static constexpr int kRows = along_depth ? lines : depths;
  static constexpr int kRowPacks = (along_depth ? depths : lines) / kWidth;
  static constexpr int kPacks = kRows * kRowPacks;
  static_assert((along_depth ? depths : lines) % kWidth == 0, "a row of a tile is whole packs of 16 bytes");
  static_assert(kRowPacks < 8 ? 8 % kRowPacks == 0 : kRowPacks % 8 == 0,
                "exchanged packs stay in their row only if its packs divide eight, or eight divides them");
  static __device__ int slot(int row, int pack) {
    constexpr int kRowsAtATime = kRowPacks < 8 ? 8 / kRowPacks : 1;
    constexpr int kExchanged = kRowPacks < 8 ? kRowPacks : 8;
    return row * kRowPacks + (pack ^ (row / kRowsAtATime % kExchanged));
  }
};

/// One thread's share in bringing tiles of an operand into shared memory: the same pack in several rows.
/// packs: each is aligned and lies whole inside or outside of the operand; else elements are read singly.
template <class Operand, class Layout, int threads, bool packs>
class TileLoader {
 public:
  using T = typename Operand::Type;
  using TilePack = Pack<T, Layout::kWidth>;

  __device__ TileLoader(const Operand& operand, int first_line)
      : operand_(operand),
        first_line_(first_line),
        row_(int(threadIdx.x) / Layout::kRowPacks),
        pack_(int(threadIdx.x) % Layout::kRowPacks) {
    if constexpr (!packs) return;
    if constexpr (Layout::kAlongDepth) {
#pragma unroll
      for (int i = 0; i < kMine; ++i) lines_[i] = operand.line(first_line + row_ + i * kRowsAtATime);
    } else {
      lines_[0] = operand.line(first_line + pack_ * Layout::kWidth);
    }
  }

  /// Fills the tile that starts at `offset`, from first_depth on.
  __device__ void load(const SharedArray<TilePack>& tiles, int offset, int first_depth) const {
    if constexpr (packs)
      load_packs(tiles, offset, first_depth);
    else
      load_elements(tiles, offset, first_depth);
  }

  /// Adds this thread's packs of a tile, row by row.
  __device__ void add_to(float (&sums)[Layout::kWidth], const SharedArray<TilePack>& tiles,
                         int offset) const {
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      if (!has(i)) continue;
      const TilePack pack = tiles[offset + slot(i)];
      for (int e = 0; e < Layout::kWidth; ++e) sums[e] += float(pack.v[e]);
    }
  }

 private:
  static_assert(threads % Layout::kRowPacks == 0, "a thread brings the same pack of several rows");
  static constexpr int kRowsAtATime = threads / Layout::kRowPacks;
  static constexpr int kMine = div_up(Layout::kRows, kRowsAtATime);

  __device__ bool has(int i) const {
    return Layout::kRows % kRowsAtATime == 0 || row_ + i * kRowsAtATime < Layout::kRows;
  }
  __device__ int slot(int i) const { return Layout::slot(row_ + i * kRowsAtATime, pack_); }

  __device__ void load_packs(const SharedArray<TilePack>& tiles, int offset, int first_depth) const {
    const auto depth_of = [&](int i) {
      return operand_.depth(first_depth +
                            (Layout::kAlongDepth ? pack_ * Layout::kWidth : row_ + i * kRowsAtATime));
    };
    const auto shared_depth = depth_of(0);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      if (!has(i)) continue;
      const Element<T> pack =
          Layout::kAlongDepth ? operand_.at(lines_[i], shared_depth) : operand_.at(lines_[0], depth_of(i));
      cp_async16(&tiles[offset + slot(i)], pack.from, pack.there);
    }
  }

  __device__ void load_elements(const SharedArray<TilePack>& tiles, int offset, int first_depth) const {
#pragma unroll 1
    for (int i = 0; i < kMine; ++i) {
      if (!has(i)) continue;
      const int row = row_ + i * kRowsAtATime;
#pragma unroll 4
      for (int e = 0; e < Layout::kWidth; ++e) {
        const int along = pack_ * Layout::kWidth + e;
        const Element<T> element =
            operand_.at(operand_.line(first_line_ + (Layout::kAlongDepth ? row : along)),
                        operand_.depth(first_depth + (Layout::kAlongDepth ? along : row)));
        tiles[offset + slot(i)].v[e] = element.there ? *element.from : T(0.0f);
      }
    }
  }

  using Line = decltype(std::declval<const Operand&>().line(0));
  const Operand& operand_;
  int first_line_, row_, pack_;
  Line lines_[Layout::kAlongDepth && packs ? kMine : 1];
};

}  // namespace ito::kernels::conv2d
