// The weights' gradient of a 3x3 convolution, stride 1, padding 1, by F(4x4, 3x3):
//   dw = G^T [ sum over tiles of (A dy A^T) .* (B^T x B) ] G.
// Each thread sums over its own tiles, a block at a time; the sums are then added in the threads' order.
#include <omp.h>

#include <algorithm>

#include "kernels/conv2d/micro_kernel.h"
#include "kernels/conv2d/winograd.h"
#include "kernels/conv2d/winograd_tiles.h"

namespace ito::kernels::conv2d::winograd {
namespace {

/// Tiles of a block. Each block reads and writes all the sums once, so blocks are longer than for the other
/// passes.
constexpr int kBlock = 32;
constexpr int kSquare = kLine * kLine;

/// Where a thread's parts lie in the workspace. Sums: [36][K / 16][C / 16][16 of K][16 of C].
struct WeightsWorkspace {
  int threads, c_lines, k_lines;
  ptrdiff_t sum_plane, share;  // share: floats of one thread
  float *zeros, *shares;
  size_t bytes;

  WeightsWorkspace(CpuStream& stream, const Conv2dDims& d, std::byte* workspace)
      : threads(stream.threads()), c_lines(lines(d.c1) + lines(d.c2)), k_lines(lines(d.k)) {
    sum_plane = ptrdiff_t(k_lines) * c_lines * kSquare;
    share = kPoints * sum_plane + ptrdiff_t(c_lines + k_lines) * chunk(kBlock) + k_lines * kLine;
    Carver carver(workspace);
    zeros = carver.take<float>(std::max({d.c1, d.c2, d.k}));
    shares = carver.take<float>(size_t(threads) * share);
    bytes = carver.used();
  }
  float* sums(int thread) const { return shares + thread * share; }
  float* inputs(int thread) const { return sums(thread) + kPoints * sum_plane; }
  float* gradients(int thread) const { return inputs(thread) + ptrdiff_t(c_lines) * chunk(kBlock); }
  float* bias_sums(int thread) const { return gradients(thread) + ptrdiff_t(k_lines) * chunk(kBlock); }
};

/// sums += gradients^T inputs, for each of the 36 points.
void add_block(const WeightsWorkspace& layout, int tiles, const float* gradients, const float* inputs,
               float* sums) {
  for (int i = 0; i < kPoints; ++i) {
    for (int k = 0; k < layout.k_lines; ++k) {
      const float* const a = gradients + k * chunk(kBlock) + i * plane(kBlock);
      for (int c = 0; c < layout.c_lines; ++c, sums += kSquare) {
        const float* const b = inputs + c * chunk(kBlock) + i * plane(kBlock);
        add_square(tiles, a, b, sums);
      }
    }
  }
}

/// The sums of one thread's tiles.
void sum_tiles(const WeightsWorkspace& layout, const Tiles& tiles, const Source (&sources)[2],
               const Source& dy, int thread) {
  float* const sums = layout.sums(thread);
  float* const bias_sums = layout.bias_sums(thread);
  std::fill_n(sums, kPoints * layout.sum_plane, 0.0f);
  std::fill_n(bias_sums, layout.k_lines * kLine, 0.0f);
  const auto pass_on = [](int, Vec v) { return v; };
  const auto add_to_bias = [&](int k, Vec v) {
    store(bias_sums + k, load(bias_sums + k) + v);
    return v;
  };
  const int begin = int(int64_t(tiles.count()) * thread / layout.threads);
  const int end = int(int64_t(tiles.count()) * (thread + 1) / layout.threads);
  for (int first = begin; first < end; first += kBlock) {
    const int last = std::min(first + kBlock, end);
    float* points = layout.inputs(thread);
    for (const Source& source : sources) {
      transform_tiles<kBlock, kPatch, 1>(input_points<Vec>, tiles, source, layout.zeros, first, last, points,
                                         pass_on);
      points += lines(source.channels) * chunk(kBlock);
    }
    transform_tiles<kBlock, kTile, 0>(output_points<Vec>, tiles, dy, layout.zeros, first, last,
                                      layout.gradients(thread), add_to_bias);
    add_block(layout, last - first, layout.gradients(thread), layout.inputs(thread), sums);
  }
}

/// dw[k, :, :, c..] for the vector of channels at `column` of the sums; `count` of them count, `c_total` is
/// C.
void filter_gradient(const WeightsWorkspace& layout, int k, int column, int count, int c_total, float* dw) {
  const ptrdiff_t square = ptrdiff_t(k / kLine) * layout.c_lines + column / kLine;
  const float* const sums = layout.sums(0) + square * kSquare + k % kLine * kLine + column % kLine;
  const auto read = [&](int i, int j) {
    Vec sum = load(sums + (i * kPatch + j) * layout.sum_plane);
    for (int t = 1; t < layout.threads; ++t) {
      sum += load(sums + t * layout.share + (i * kPatch + j) * layout.sum_plane);
    }
    return sum;
  };
  const auto write = [&](int r, int s, Vec v) { store_some(dw + (r * 3 + s) * c_total, v, count); };
  transform_2d<kPatch, 3, Vec>(filter_from_points<Vec>, read, write);
}

}  // namespace

size_t weights_workspace_bytes(CpuStream& stream, const Conv2dDims& d) {
  return WeightsWorkspace(stream, d, nullptr).bytes;
}

void backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<float>& a,
                      std::byte* workspace) {
  const WeightsWorkspace layout(stream, d, workspace);
  const Tiles tiles(d);
  const Source sources[2] = {{a.x, d.c1}, {a.x2, d.c2}};
  std::fill_n(layout.zeros, std::max({d.c1, d.c2, d.k}), 0.0f);
#pragma omp parallel num_threads(layout.threads)
  {
#pragma omp for schedule(static, 1)
    for (int thread = 0; thread < layout.threads; ++thread) {
      sum_tiles(layout, tiles, sources, {a.dy, d.k}, thread);
    }
#pragma omp for schedule(static)
    for (int k = 0; k < d.k; ++k) {
      float* dw = a.dw + ptrdiff_t(k) * 9 * d.c();
      int column = 0;
      for (const Source& source : sources) {
        for (int c = 0; c < source.channels; c += kLanes) {
          filter_gradient(layout, k, column + c, source.channels - c, d.c(), dw + c);
        }
        column += lines(source.channels) * kLine;
        dw += source.channels;
      }
      if (!a.dbias) continue;
      a.dbias[k] = 0;
      for (int t = 0; t < layout.threads; ++t) a.dbias[k] += layout.bias_sums(t)[k];
    }
  }
}

}  // namespace ito::kernels::conv2d::winograd
