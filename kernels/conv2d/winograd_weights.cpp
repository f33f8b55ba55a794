// The weights' gradient of a 3x3 convolution, stride 1, padding 1, by F(4x4, 3x3):
//   dw = G^T [ sum over tiles of (A dy A^T) .* (B^T x B) ] G.
// The tiles are cut into parts by their number alone. A part's tiles are summed in their order, a block at a time, and
// the parts' sums are added in theirs; so no bit depends on the threads.
#include <omp.h>

#include <algorithm>
#include <bit>

#include "kernels/conv2d/micro_kernel.h"
#include "kernels/conv2d/winograd.h"
#include "kernels/conv2d/winograd_tiles.h"
#include "kernels/parallel.h"

namespace ito::kernels::conv2d::winograd {
namespace {

/// Tiles of a block. Each block reads and writes all the sums once, so blocks are longer than for the other
/// passes.
constexpr int kBlock = 32;
constexpr int kSquare = kLine * kLine;
/// The fewest tiles of a part, whose sums are written and read once more; and the most parts.
constexpr int kPartTiles = 256, kMostParts = 8;

/// Lines [first, last) of x's channels, counted over both sources: what one thread computes of a part.
struct Columns {
  int first, last;
};

/// How the work is divided: into parts of the tiles, a power of two and a function of the problem, and where these
/// are too few for the threads into groups of x's channels as well. A group transforms dy again, which takes about
/// an eighth of the time, and divides no sum.
struct Division {
  int parts, groups, tiles, c_lines;

  Division(int threads, int tiles, int c_lines)
      : parts(std::clamp(int(std::bit_floor(unsigned(tiles / kPartTiles))), 1, kMostParts)),
        groups(groups_of_part(parts, c_lines, threads, 0.125)),
        tiles(tiles),
        c_lines(c_lines) {}
  int first_tile(int part) const { return int(int64_t(tiles) * part / parts); }
  Columns columns(int group) const { return {c_lines * group / groups, c_lines * (group + 1) / groups}; }
};

/// Where everything lies in the workspace. Sums of a part: [36][K / 16][C / 16][16 of K][16 of C], then [K] of dy.
struct WeightsWorkspace {
  int c_lines, k_lines;
  Division division;
  ptrdiff_t sum_plane, share, buffer;  // floats of a point's sums, of a part's, of a thread's points
  float *zeros, *shares, *buffers;
  size_t bytes;

  WeightsWorkspace(CpuStream& stream, const Conv2dDims& d, std::byte* workspace)
      : c_lines(lines(d.c1) + lines(d.c2)),
        k_lines(lines(d.k)),
        division(stream.threads(), Tiles(d).count(), c_lines),
        sum_plane(ptrdiff_t(k_lines) * c_lines * kSquare),
        share(kPoints * sum_plane + k_lines * kLine),
        buffer(ptrdiff_t(div_up(c_lines, division.groups) + k_lines) * chunk(kBlock)) {
    Carver carver(workspace);
    zeros = carver.take<float>(std::max({d.c1, d.c2, d.k}));
    shares = carver.take<float>(size_t(division.parts) * share);
    buffers = carver.take<float>(size_t(stream.threads()) * buffer);
    bytes = carver.used();
  }
  float* sums(int part) const { return shares + part * share; }
  float* bias_sums(int part) const { return sums(part) + kPoints * sum_plane; }
  float* gradients(int thread) const { return buffers + thread * buffer; }
  float* inputs(int thread) const { return gradients(thread) + ptrdiff_t(k_lines) * chunk(kBlock); }
};

/// What a call reads.
struct WeightsOperands {
  Source sources[2], dy;
};

/// sums = or += gradients^T inputs of a block's tiles, for each of the 36 points.
void add_block(const WeightsWorkspace& layout, const Columns& columns, bool to_zero, int tiles,
               const float* gradients, const float* inputs, float* sums) {
  for (int i = 0; i < kPoints; ++i) {
    for (int k = 0; k < layout.k_lines; ++k) {
      const ptrdiff_t row = (ptrdiff_t(i) * layout.k_lines + k) * layout.c_lines;
      add_tiles(to_zero, kLine, columns.last - columns.first, tiles,
                {gradients + k * chunk(kBlock) + i * plane(kBlock), kLine},
                {inputs + i * plane(kBlock), chunk(kBlock), kLine},
                {sums + (row + columns.first) * kSquare, kLine, kSquare});
    }
  }
}

/// The points of x in `columns` for tiles [first, last).
void transform_inputs(const WeightsWorkspace& layout, const Tiles& tiles, const WeightsOperands& o,
                      const Columns& columns, int first, int last, float* points) {
  int before = 0;  // lines of the sources before
  for (const Source& source : o.sources) {
    const int begin = std::max(columns.first - before, 0);
    const int end = std::min(columns.last - before, lines(source.channels));
    if (begin < end) {
      transform_tiles<kBlock, kPatch, 1>(
          input_points<Vec>, tiles, source, layout.zeros, first, last, points, [](int, Vec v) { return v; },
          begin * kLine, end * kLine);
      points += ptrdiff_t(end - begin) * chunk(kBlock);
    }
    before += lines(source.channels);
  }
}

/// The sums of a part's tiles in a group of columns.
void sum_tiles(const WeightsWorkspace& layout, const Tiles& tiles, const WeightsOperands& o, int part,
               int group, int thread) {
  const Columns columns = layout.division.columns(group);
  float* const bias_sums = layout.bias_sums(part);
  if (group == 0) std::fill_n(bias_sums, layout.k_lines * kLine, 0.0f);
  const auto pass_on = [](int, Vec v) { return v; };
  const auto add_to_bias = [&](int k, Vec v) {
    store(bias_sums + k, load(bias_sums + k) + v);
    return v;
  };
  float *const gradients = layout.gradients(thread), *const inputs = layout.inputs(thread);
  const int begin = layout.division.first_tile(part), end = layout.division.first_tile(part + 1);
  for (int first = begin; first < end; first += kBlock) {
    const int last = std::min(first + kBlock, end);
    transform_inputs(layout, tiles, o, columns, first, last, inputs);
    if (group == 0)
      transform_tiles<kBlock, kTile, 0>(output_points<Vec>, tiles, o.dy, layout.zeros, first, last, gradients,
                                        add_to_bias);
    else
      transform_tiles<kBlock, kTile, 0>(output_points<Vec>, tiles, o.dy, layout.zeros, first, last, gradients,
                                        pass_on);
    add_block(layout, columns, first == begin, last - first, gradients, inputs, layout.sums(part));
  }
}

/// dw[k, :, :, c..] for the vector of channels at `column` of the sums; `count` of them count, `c_total` is
/// C.
void filter_gradient(const WeightsWorkspace& layout, int k, int column, int count, int c_total, float* dw) {
  const ptrdiff_t square = ptrdiff_t(k / kLine) * layout.c_lines + column / kLine;
  const float* const sums = layout.sums(0) + square * kSquare + k % kLine * kLine + column % kLine;
  const auto read = [&](int i, int j) {
    Vec sum = load(sums + (i * kPatch + j) * layout.sum_plane);
    for (int part = 1; part < layout.division.parts; ++part) {
      sum += load(sums + part * layout.share + (i * kPatch + j) * layout.sum_plane);
    }
    return sum;
  };
  const auto write = [&](int r, int s, Vec v) { store_some(dw + (r * 3 + s) * c_total, v, count); };
  transform_2d<kPatch, 3, Vec>(filter_from_points<Vec>, read, write);
}

/// dw[k] and dbias[k] from the sums of all parts.
void finish_filter(const WeightsWorkspace& layout, const WeightsOperands& o, int k, float* dw, float* dbias) {
  const int c_total = o.sources[0].channels + o.sources[1].channels;
  int column = 0;
  for (const Source& source : o.sources) {
    for (int c = 0; c < source.channels; c += kLanes) {
      filter_gradient(layout, k, column + c, source.channels - c, c_total, dw + c);
    }
    column += lines(source.channels) * kLine;
    dw += source.channels;
  }
  if (!dbias) return;
  dbias[k] = layout.bias_sums(0)[k];
  for (int part = 1; part < layout.division.parts; ++part) dbias[k] += layout.bias_sums(part)[k];
}

}  // namespace

size_t weights_workspace_bytes(CpuStream& stream, const Conv2dDims& d) {
  return WeightsWorkspace(stream, d, nullptr).bytes;
}

void backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<float>& a,
                      std::byte* workspace) {
  const WeightsWorkspace layout(stream, d, workspace);
  const Tiles tiles(d);
  const WeightsOperands o{{{a.x, d.c1}, {a.x2, d.c2}}, {a.dy, d.k}};
  const int groups = layout.division.groups;
  std::fill_n(layout.zeros, std::max({d.c1, d.c2, d.k}), 0.0f);
  parallel_uneven(stream, layout.division.parts * groups, [&](int64_t i) {
    sum_tiles(layout, tiles, o, int(i / groups), int(i % groups), omp_get_thread_num());
  });
  parallel_each(stream, d.k, [&](int64_t k) {
    finish_filter(layout, o, int(k), a.dw + ptrdiff_t(k) * 9 * d.c(), a.dbias);
  });
}

}  // namespace ito::kernels::conv2d::winograd
