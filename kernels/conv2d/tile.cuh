#pragma once

#include <utility>

#include "kernels/base/math.h"
#include "kernels/conv2d/operands.cuh"
#include "kernels/cuda_async.cuh"

namespace ito::kernels::conv2d {

/// How a piece of an operand, lines x depths, lies in shared memory: rows along whichever of the two is
/// contiguous in memory, in chunks of 16 bytes. Eight chunks pass at a time, 128 bytes; the chunks of a row
/// are exchanged so that eight neighbouring rows' chunks of one number never share a bank.
template <class T, int lines, int depths, bool along_depth>
struct TileLayout {
  static constexpr bool kAlongDepth = along_depth;
  static constexpr int kVector = kPackWidth<T>;
  static constexpr int kRows = along_depth ? lines : depths;
  static constexpr int kRowChunks = (along_depth ? depths : lines) / kVector;
  static constexpr int kChunks = kRows * kRowChunks;
  static_assert((along_depth ? depths : lines) % kVector == 0, "a row of a tile is whole chunks of 16 bytes");
  static_assert(kRowChunks < 8 ? 8 % kRowChunks == 0 : kRowChunks % 8 == 0,
                "exchanged chunks stay in their row only if its chunks divide eight, or eight divides them");
  static __device__ int slot(int row, int chunk) {
    constexpr int kRowsAtATime = kRowChunks < 8 ? 8 / kRowChunks : 1;
    constexpr int kExchanged = kRowChunks < 8 ? kRowChunks : 8;
    return row * kRowChunks + (chunk ^ (row / kRowsAtATime % kExchanged));
  }
};

/// One thread's share in bringing tiles of an operand into shared memory: the same chunk in several rows.
/// packs: chunks are aligned and lie whole inside or outside of the operand; else elements are read singly.
template <class Operand, class Layout, int threads, bool packs>
class TileLoader {
 public:
  using T = typename Operand::Type;
  using Chunk = Pack<T, Layout::kVector>;

  __device__ TileLoader(const Operand& operand, int first_line)
      : operand_(operand),
        first_line_(first_line),
        row_(int(threadIdx.x) / Layout::kRowChunks),
        chunk_(int(threadIdx.x) % Layout::kRowChunks) {
    if constexpr (!packs) return;
    if constexpr (Layout::kAlongDepth) {
#pragma unroll
      for (int i = 0; i < kMine; ++i) lines_[i] = operand.line(first_line + row_ + i * kRowsAtATime);
    } else {
      lines_[0] = operand.line(first_line + chunk_ * Layout::kVector);
    }
  }

  /// Fills the tile that starts at `offset`, from first_depth on.
  __device__ void load(const SharedArray<Chunk>& tiles, int offset, int first_depth) const {
    if constexpr (packs)
      load_chunks(tiles, offset, first_depth);
    else
      load_elements(tiles, offset, first_depth);
  }

  /// Adds this thread's chunks of a tile, row by row.
  __device__ void add_to(float (&sums)[Layout::kVector], const SharedArray<Chunk>& tiles, int offset) const {
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      if (!has(i)) continue;
      const Chunk chunk = tiles[offset + slot(i)];
      for (int e = 0; e < Layout::kVector; ++e) sums[e] += float(chunk.v[e]);
    }
  }

 private:
  static_assert(threads % Layout::kRowChunks == 0, "a thread brings the same chunk of several rows");
  static constexpr int kRowsAtATime = threads / Layout::kRowChunks;
  static constexpr int kMine = div_up(Layout::kRows, kRowsAtATime);

  __device__ bool has(int i) const {
    return Layout::kRows % kRowsAtATime == 0 || row_ + i * kRowsAtATime < Layout::kRows;
  }
  __device__ int slot(int i) const { return Layout::slot(row_ + i * kRowsAtATime, chunk_); }

  __device__ void load_chunks(const SharedArray<Chunk>& tiles, int offset, int first_depth) const {
    const auto depth_of = [&](int i) {
      return operand_.depth(first_depth +
                            (Layout::kAlongDepth ? chunk_ * Layout::kVector : row_ + i * kRowsAtATime));
    };
    const auto shared_depth = depth_of(0);
#pragma unroll
    for (int i = 0; i < kMine; ++i) {
      if (!has(i)) continue;
      const Element<T> chunk =
          Layout::kAlongDepth ? operand_.at(lines_[i], shared_depth) : operand_.at(lines_[0], depth_of(i));
      cp_async16(&tiles[offset + slot(i)], chunk.from, chunk.there);
    }
  }

  __device__ void load_elements(const SharedArray<Chunk>& tiles, int offset, int first_depth) const {
#pragma unroll 1
    for (int i = 0; i < kMine; ++i) {
      if (!has(i)) continue;
      const int row = row_ + i * kRowsAtATime;
#pragma unroll 4
      for (int e = 0; e < Layout::kVector; ++e) {
        const int along = chunk_ * Layout::kVector + e;
        const Element<T> element =
            operand_.at(operand_.line(first_line_ + (Layout::kAlongDepth ? row : along)),
                        operand_.depth(first_depth + (Layout::kAlongDepth ? along : row)));
        tiles[offset + slot(i)].v[e] = element.there ? *element.from : T(0.0f);
      }
    }
  }

  using Line = decltype(std::declval<const Operand&>().line(0));
  const Operand& operand_;
  int first_line_, row_, chunk_;
  Line lines_[Layout::kAlongDepth && packs ? kMine : 1];
};

}  // namespace ito::kernels::conv2d
