#pragma once

#include "kernels/conv2d/outputs.cuh"
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
namespace ito::kernels::conv2d {

template <class Shape, class A, class B>
struct Tiling {
  using T = typename A::Type;
  static constexpr int kVector = kWideVector<T>;
  using LayoutA = TileLayout<T, Shape::kM, Shape::kDepth, A::kAlongDepth>;
  using LayoutB = TileLayout<T, Shape::kN, Shape::kDepth, B::kAlongDepth>;
  using Product = F32Product<Shape, LayoutA, LayoutB>;
  using Chunk = Pack<T, kVector>;

  // The result passes through shared memory, to be written in rows. 8 more floats a row keep the four rows
  // that are written together apart.
  static constexpr int kResultRow = Shape::kN + 8;
  static constexpr size_t kTileBytes = size_t(Shape::kStages) * (LayoutA::kChunks + LayoutB::kChunks) * 16;
  static constexpr size_t kResultBytes = size_t(Shape::kM) * kResultRow * sizeof(float);
  static constexpr size_t kSharedBytes = kTileBytes > kResultBytes ? kTileBytes : kResultBytes;
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
          tiles((min(work.part, work.depths - first_depth) + Shape::kDepth - 1) / Shape::kDepth) {}
  };
};

/// The tile's sums, a row's neighbours together.
template <class Shape, class Tiling, class Output>
__device__ void write_result(const SharedArray<Pack<float, 4>>& result, const Output& output, int first_row,
                             int first_column) {
  constexpr int V = Output::kVector, kAcross = Shape::kN / V;
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
    if (output.wide) {
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

/// The sums of a's lines from those of its threads: `thread_sums` of kVector neighbouring lines each.
template <class Shape, class Tiling, class Output>
__device__ void write_line_sums(const SharedArray<float>& slots, const float (&thread_sums)[Tiling::kVector],
                                const Output& output, int first_row) {
  constexpr int kParts = Shape::kThreads / Tiling::LayoutA::kRowChunks;
  for (int e = 0; e < Tiling::kVector; ++e) slots[int(threadIdx.x) * Tiling::kVector + e] = thread_sums[e];
  __syncthreads();
  for (int line = int(threadIdx.x); line < Shape::kM; line += Shape::kThreads) {
    float sum = 0;
    for (int part = 0; part < kParts; ++part) sum += slots[part * Shape::kM + line];
    if (first_row + line < output.rows) output.write_line(first_row + line, sum);
  }
  __syncthreads();
}

template <class Shape, class A, class B, class Output, bool wide>
__global__ void __launch_bounds__(Shape::kThreads)
    implicit_gemm_kernel(const A a, const B b, const Output output, const Work work) {
  using Tiles = Tiling<Shape, A, B>;
  const Work::Block<Shape> block(work);
  SharedMemory shared;
  const auto a_tiles = shared.take<typename Tiles::Chunk>(Shape::kStages * Tiles::LayoutA::kChunks);
  const auto b_tiles = shared.take<typename Tiles::Chunk>(Shape::kStages * Tiles::LayoutB::kChunks);
  const TileLoader<A, typename Tiles::LayoutA, Shape::kThreads, wide> load_a(a, block.row);
  const TileLoader<B, typename Tiles::LayoutB, Shape::kThreads, wide> load_b(b, block.column);
  typename Tiles::Product product(output.rows - block.row, output.columns - block.column);
  float line_sums[Tiles::kVector] = {};
  bool sums_lines = false;
  if constexpr (Output::kSumsLines) sums_lines = output.dbias && block.column == 0;

  const auto load = [&](int tile) {
    if (tile >= block.tiles) return;
    const int stage = tile % Shape::kStages, depth = block.first_depth + tile * Shape::kDepth;
    load_a.load(a_tiles, stage * Tiles::LayoutA::kChunks, depth);
    load_b.load(b_tiles, stage * Tiles::LayoutB::kChunks, depth);
  };
  for (int tile = 0; tile < Shape::kStages - 1; ++tile) load(tile);
  for (int tile = 0; tile < block.tiles; ++tile) {
    __syncthreads();  // this tile is there, and the one before has been read: its place is free
    load(tile + Shape::kStages - 1);
    const int stage = tile % Shape::kStages;
    product.add(a_tiles, stage * Tiles::LayoutA::kChunks, b_tiles, stage * Tiles::LayoutB::kChunks);
    if constexpr (Output::kSumsLines)
      if (sums_lines) load_a.add_to(line_sums, a_tiles, stage * Tiles::LayoutA::kChunks);
  }
  __syncthreads();

  SharedMemory reused, again;  // one piece of memory, taken as floats and as fours of them
  const auto result = reused.take<float>(Shape::kM * Tiles::kResultRow);
  const auto fours = again.take<Pack<float, 4>>(Shape::kM * Tiles::kResultRow / 4);
  if constexpr (Output::kSumsLines)
    if (sums_lines) write_line_sums<Shape, Tiles>(result, line_sums, output, block.row);
  product.each([&](int row, int column, float sum) { result[row * Tiles::kResultRow + column] = sum; });
  __syncthreads();
  write_result<Shape, Tiles>(fours, output, block.row, block.column);
}

/// The result, its depth summed in parts of `part`; a multiple of 32, or everything.
template <class Shape, bool wide, class A, class B, class Output>
void multiply(CudaStream& stream, const A& a, const B& b, const Output& output, int depths, int part) {
  const auto tiles = [](int size, int tile) { return (size + tile - 1) / tile; };
  const Work work{depths, part, tiles(output.columns, Shape::kN)};
  LaunchConfig config;
  config.grid = dim3(unsigned(tiles(output.rows, Shape::kM) * work.across),
                     unsigned(depths > part ? tiles(depths, part) : 1));
  config.block = dim3(Shape::kThreads);
  config.shared_bytes = Tiling<Shape, A, B>::kSharedBytes;
  launch(implicit_gemm_kernel<Shape, A, B, Output, wide>, config, stream, a, b, output, work);
}

}  // namespace ito::kernels::conv2d
