#pragma once

#include <type_traits>

#include "kernels/base/math.h"
#include "kernels/conv2d/outputs.cuh"
#include "kernels/conv2d/product_bf16.cuh"
#include "kernels/conv2d/product_f32.cuh"
#include "kernels/cuda_launch.h"

/// A convolution as a matrix product whose operands are read where they are: result[m,n] = sum_d a(m,d)
/// b(n,d). One kernel does all three passes; they differ in the operands, the output, and which way tiles
/// lie.
///
///   pass               a: lines m          b: lines n            depth
///   forward            pixels of y         filters               taps x C
///   backward_data      pixels of dx        channels of x         taps x K
///   backward_weights   filters             taps x C              pixels of y, in parts
///
/// Tiles come by cp.async, three ahead of the one that is multiplied; one barrier a tile. Per block:
///
///   tiles     m x n x depth    threads   a thread or warp    shared   registers (sm_90a; the three passes)
///   bf16      128 x 128 x 32       128   64 x 64 a warp       68 KB   223  225  224: two blocks an SM
///             128 x  64 x 32       128   64 x 32 a warp       48 KB   122  126
///              64 x 128 x 32       128   32 x 64 a warp       48 KB             128
///              64 x  64 x 32       128   32 x 32 a warp       32 KB    72   78   80
///              64 x  16 x 32       128   16 x 16 a warp       20 KB    40   44
///              16 x 128 x 32       128   16 x 32 a warp       36 KB              56
///   f32       128 x 128 x 16       256   8 x 8 a thread       68 KB   254  201  165: one block an SM
///              64 x  64 x 16       128   8 x 4 a thread       32 KB   128  127  111
///              64 x   8 x 16        64   2 x 4 a thread       18 KB    72   71
///
/// The limits of the large bf16 tile, predicted for an H100 (132 SMs at 1.75 GHz), which then reached 330 to
/// 390 TFLOP/s forward, 310 to 340 for dx and 230 to 320 for dw (bench/history). A tile is 2 x 128 x 128 x 32
/// = 1.05 MFLOP, and
///   16 KB from L2: 64 FLOP/byte, at 5.5 TB/s 350 TFLOP/s. The lowest: 256 x 128 would have 85 FLOP/byte.
///   16 KB written to shared memory and 32 KB read, at 128 bytes a cycle: 384 cycles, 630 TFLOP/s.
///   256 mma.sync, which run at about 0.6 of wgmma's rate: 600 TFLOP/s.
///   198, 278, 310 instructions a warp for 64 mma in the three passes, a warp a scheduler: 198 to 310 cycles.
/// DRAM is no limit: 3 x 3 with 128 channels has 576 FLOP a byte of x and y.
namespace ito::kernels::conv2d {

template <class Shape, class A, class B>
struct Tiling {
  using T = typename A::Type;
  static constexpr int kWidth = kPackWidth<T>;
  using LayoutA = TileLayout<T, Shape::kM, Shape::kDepth, A::kAlongDepth>;
  using LayoutB = TileLayout<T, Shape::kN, Shape::kDepth, B::kAlongDepth>;
  using Product = std::conditional_t<std::is_same_v<T, float>, F32Product<Shape, LayoutA, LayoutB>,
                                     Bf16Product<Shape, LayoutA, LayoutB>>;
  using Stored = Pack<float, Product::kNeighbours>;
  using TilePack = Pack<T, kWidth>;

  // The result passes through shared memory, to be written in rows. 8 more floats a row keep the four rows
  // that are written together apart.
  static constexpr int kResultRow = Shape::kN + 8;
  static constexpr size_t kTileBytes = size_t(Shape::kStages) * (LayoutA::kPacks + LayoutB::kPacks) * 16;
  static constexpr size_t kResultBytes = size_t(Shape::kM) * kResultRow * sizeof(float);
  static constexpr size_t kSharedBytes = kTileBytes > kResultBytes ? kTileBytes : kResultBytes;
  static_assert(Shape::kStages >= 2, "while one tile is multiplied the next ones are on their way");
  static_assert(kSharedBytes <= 99 * 1024,
                "every card from sm_80 on gives a block that much, with 1 KB reserved");
  static_assert(kResultRow % 4 == 0, "rows of the result are read by packs of four sums");
};

/// What a block computes: a tile of the result and a part of the depth. Blocks that follow each other share
/// lines of a, the larger operand, so that these stay in the L2 cache.
struct Work {
  int depths, part;  // `part` of them for each blockIdx.y, a multiple of the tiles' depth
  int across;        // tiles

  template <class Shape>
  struct Block {
    int row, column, first_depth, tiles;
    __device__ explicit Block(const Work& work)
        : row(int(blockIdx.x) / work.across * Shape::kM),
          column(int(blockIdx.x) % work.across * Shape::kN),
          first_depth(int(blockIdx.y) * work.part),
          tiles(div_up(min(work.part, work.depths - first_depth), Shape::kDepth)) {}
  };
};

/// The tile's sums, a row's neighbours together.
template <class Shape, class Tiling, class Output>
__device__ void write_result(const Output& output, int first_row, int first_column) {
  const auto result = SharedMemory().take<Pack<float, 4>>(Shape::kM * Tiling::kResultRow / 4);
  constexpr int V = Output::kWidth, kAcross = Shape::kN / V;
  static_assert(Shape::kN % V == 0 && V % 4 == 0,
                "a row is whole packs, and a pack is read as fours of sums");
  for (int i = int(threadIdx.x); i < Shape::kM * kAcross; i += Shape::kThreads) {
    const int row = i / kAcross, column = i % kAcross * V;
    const int to_row = first_row + row, to_column = first_column + column;
    if (to_row >= output.rows || to_column >= output.columns) continue;
    float sums[V];
#pragma unroll
    for (int e = 0; e < V; e += 4) {
      const auto four = result[(row * Tiling::kResultRow + column + e) / 4];
      for (int i = 0; i < 4; ++i) sums[e + i] = four.v[i];
    }
    if (output.packs) {
      output.write(to_row, to_column, sums);
      continue;
    }
#pragma unroll
    for (int e = 0; e < V; ++e) {
      float sum[1] = {sums[e]};
      if (to_column + e < output.columns) output.write(to_row, to_column + e, sum);
    }
  }
}

/// The sums of a's lines from those of its threads: `thread_sums` of kWidth neighbouring lines each.
template <class Shape, class Tiling, class Output>
__device__ void write_line_sums(const float (&thread_sums)[Tiling::kWidth], const Output& output,
                                int first_row) {
  constexpr int kParts = Shape::kThreads / Tiling::LayoutA::kRowPacks;
  static_assert(!Tiling::LayoutA::kAlongDepth,
                "a thread sums neighbouring lines, so a's packs lie along them");
  static_assert(Shape::kThreads * Tiling::kWidth * sizeof(float) <= Tiling::kSharedBytes,
                "the threads' sums take the place of the tiles in shared memory");
  const auto slots = SharedMemory().take<float>(Shape::kThreads * Tiling::kWidth);
  for (int e = 0; e < Tiling::kWidth; ++e) slots[int(threadIdx.x) * Tiling::kWidth + e] = thread_sums[e];
  __syncthreads();
  for (int line = int(threadIdx.x); line < Shape::kM; line += Shape::kThreads) {
    float sum = 0;
    for (int part = 0; part < kParts; ++part) sum += slots[part * Shape::kM + line];
    if (first_row + line < output.rows) output.write_line(first_row + line, sum);
  }
  __syncthreads();
}

template <class Shape, class A, class B, class Output, bool packs_a, bool packs_b>
__global__ void __launch_bounds__(Shape::kThreads)
    implicit_gemm_kernel(const A a, const B b, const Output output, const Work work) {
  using Tiles = Tiling<Shape, A, B>;
  const Work::Block<Shape> block(work);
  SharedMemory shared;
  const auto a_tiles = shared.take<typename Tiles::TilePack>(Shape::kStages * Tiles::LayoutA::kPacks);
  const auto b_tiles = shared.take<typename Tiles::TilePack>(Shape::kStages * Tiles::LayoutB::kPacks);
  const TileLoader<A, typename Tiles::LayoutA, Shape::kThreads, packs_a> load_a(a, block.row);
  const TileLoader<B, typename Tiles::LayoutB, Shape::kThreads, packs_b> load_b(b, block.column);
  typename Tiles::Product product(output.rows - block.row, output.columns - block.column);
  float line_sums[Tiles::kWidth] = {};
  bool sums_lines = false;
  if constexpr (Output::kSumsLines) sums_lines = output.dbias && block.column == 0;

  const auto load = [&](int tile) {
    if (tile >= block.tiles) return;
    const int stage = tile % Shape::kStages, depth = block.first_depth + tile * Shape::kDepth;
    load_a.load(a_tiles, stage * Tiles::LayoutA::kPacks, depth);
    load_b.load(b_tiles, stage * Tiles::LayoutB::kPacks, depth);
  };
  for (int tile = 0; tile < Shape::kStages - 1; ++tile) load(tile), cp_commit();
  for (int tile = 0; tile < block.tiles; ++tile) {
    cp_wait<Shape::kStages - 2>();
    __syncthreads();  // this tile is there, and the one before has been read: its place is free
    load(tile + Shape::kStages - 1);
    cp_commit();
    const int stage = tile % Shape::kStages;
    product.add(a_tiles, stage * Tiles::LayoutA::kPacks, b_tiles, stage * Tiles::LayoutB::kPacks);
    if constexpr (Output::kSumsLines)
      if (sums_lines) load_a.add_to(line_sums, a_tiles, stage * Tiles::LayoutA::kPacks);
  }
  __syncthreads();

  // From here on the shared memory belongs to the result.
  if constexpr (Output::kSumsLines)
    if (sums_lines) write_line_sums<Shape, Tiles>(line_sums, output, block.row);
  constexpr int kNeighbours = Tiles::Product::kNeighbours, kResults = Shape::kM * Tiles::kResultRow;
  const auto result = SharedMemory().take<typename Tiles::Stored>(kResults / kNeighbours);
  product.each([&](int row, int column, const typename Tiles::Stored& sums) {
    result[(row * Tiles::kResultRow + column) / kNeighbours] = sums;
  });
  __syncthreads();
  write_result<Shape, Tiles>(output, block.row, block.column);
}

/// The result, its depth summed in parts of `part`; a multiple of 32, or everything.
template <class Shape, bool packs_a, bool packs_b, class A, class B, class Output>
void multiply(CudaStream& stream, const A& a, const B& b, const Output& output, int depths, int part) {
  const Work work{depths, part, div_up(output.columns, Shape::kN)};
  LaunchConfig config;
  config.grid = dim3(unsigned(div_up(output.rows, Shape::kM) * work.across),
                     unsigned(depths > part ? div_up(depths, part) : 1));
  config.block = dim3(Shape::kThreads);
  config.shared_bytes = Tiling<Shape, A, B>::kSharedBytes;
  launch(implicit_gemm_kernel<Shape, A, B, Output, packs_a, packs_b>, config, stream, a, b, output, work);
}

}  // namespace ito::kernels::conv2d
