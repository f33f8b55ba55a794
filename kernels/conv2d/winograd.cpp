// 3x3 convolution, stride 1, padding 1, by F(4x4, 3x3): the passes that map images to images, forward and
// backward. A block of tiles goes through the three stages (input points, 36 matrix products, outputs) while
// it stays in the second-level cache; threads take blocks.
#include "kernels/conv2d/winograd.h"

#include <omp.h>

#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/conv2d/micro_kernel.h"
#include "kernels/conv2d/pass.h"
#include "kernels/conv2d/winograd_tiles.h"

namespace ito::kernels::conv2d::winograd {
namespace {

/// Tiles of a block: two groups of the micro-kernel's rows on AVX2. 128 channels' points then take 240 KiB;
/// longer blocks were slower at 32 channels already.
constexpr int kBlock = 12;

/// Lines of sources' channels: the depth of the products, in units of 16.
int depth(const Pass& pass) { return lines(pass.sources[0].channels) + lines(pass.sources[1].channels); }

/// Where a pass's parts lie in the workspace. Points of filters: [panel][36][depth][16], planes a line
/// further apart than they are long for the reason given at `plane`.
struct WinogradWorkspace {
  ptrdiff_t filter_plane, inputs_size;
  float *zeros, *filters, *inputs, *products;  // inputs, products: one a thread
  size_t bytes;

  WinogradWorkspace(CpuStream& stream, const Pass& pass, std::byte* workspace)
      : filter_plane((ptrdiff_t(depth(pass)) * kLine + 1) * kLine),
        inputs_size(ptrdiff_t(depth(pass)) * chunk(kBlock)) {
    Carver carver(workspace);
    zeros = carver.take<float>(widest(pass));
    filters = carver.take<float>(size_t(pass.panels()) * kPoints * filter_plane);
    inputs = carver.take<float>(size_t(stream.threads()) * inputs_size);
    products = carver.take<float>(size_t(stream.threads()) * chunk(kBlock));
    bytes = carver.used();
  }
  static int widest(const Pass& pass) { return std::max(pass.sources[0].channels, pass.sources[1].channels); }
  float* filter_panel(int panel) const { return filters + ptrdiff_t(panel) * kPoints * filter_plane; }
};

/// The filters between up to 16 sources and 16 targets as [9][source][target], zeros elsewhere. Backward,
/// they are turned by half a turn.
struct Taps {
  float g[9][kLine][kLine];

  Taps(const Pass& pass, int source, int sources, int target, int targets) : g{} {
    const bool forward = pass.kind == ConvPass::forward;
    for (int i = 0; i < (forward ? targets : sources); ++i) {
      const float* w = pass.filters + ptrdiff_t(forward ? target + i : source + i) * 9 * pass.c;
      for (int tap = 0; tap < 9; ++tap, w += pass.c) {
        if (forward) {
          for (int j = 0; j < sources; ++j) g[tap][j][i] = w[source + j];
        } else {
          std::copy_n(w + target, targets, g[8 - tap][i]);
        }
      }
    }
  }
};

/// One panel of the filters' points.
void transform_filters(const Pass& pass, const WinogradWorkspace& layout, const Panel& panel) {
  float* to = layout.filter_panel(panel.index);
  int before = 0;
  for (const Source& source : pass.sources) {
    for (int c = 0; c < source.channels; c += kLine, to += kLine * kLine) {
      const Taps taps(pass, before + c, std::min(kLine, source.channels - c), panel.filter_channel,
                      panel.count);
      for (int i = 0; i < kLine * kLine; i += kLanes) {
        transform_2d<3, kPatch, Vec>(
            filter_points<Vec>, [&](int r, int s) { return load(&taps.g[r * 3 + s][0][0] + i); },
            [&](int r, int s, Vec v) { store(to + (r * kPatch + s) * layout.filter_plane + i, v); });
      }
    }
    before += source.channels;
  }
}

/// The outputs of tiles [first, last) in one panel, from their products [36][tile][16].
void transform_outputs(const Tiles& tiles, int first, int last, const float* products, const float* bias,
                       const Panel& panel) {
  for (int tile = first; tile < last; ++tile, products += kLine) {
    const Corner corner = tiles.corner(tile);
    const int channels = panel.target.channels;
    for (int lane = 0; lane < panel.count; lane += kLanes) {
      const int count = panel.count - lane;
      const Vec offset = bias ? load_some(bias + panel.channel + lane, count) : Vec{};
      float* const at = panel.target.data + corner.pixel * channels + panel.channel + lane;
      const auto read = [&](int i, int j) {
        return load(products + (i * kPatch + j) * plane(kBlock) + lane);
      };
      const auto write = [&](int i, int j, Vec v) {
        if (i >= corner.rows || j >= corner.columns) return;
        store_some(at + (ptrdiff_t(i) * tiles.w + j) * channels, v + offset, count);
      };
      transform_2d<kPatch, kTile, Vec>(output_from_points<Vec>, read, write);
    }
  }
}

/// Asks for what the next block reads of a tile, while products keep the core busy: without it the memory's
/// latency cost 10 to 20 % of the pass at 64 channels and more.
void prefetch_inputs(const Pass& pass, const Tiles& tiles, int tile) {
  const Corner corner = tiles.corner(tile);
  const ptrdiff_t row = tiles.w, last = ptrdiff_t(tiles.n) * tiles.h * row - corner.columns;
  for (const Source& source : pass.sources) {
    for (int i = -1; i <= kTile; ++i) {
      const ptrdiff_t pixel =
          std::clamp<ptrdiff_t>(corner.pixel + i * row, 0, last);  // padding: any address will do
      const float* const from = source.data + pixel * source.channels;
      for (int c = 0; c < corner.columns * source.channels; c += kLine) __builtin_prefetch(from + c, 0, 2);
    }
  }
}

/// Asks for the lines that a panel's outputs of a tile will be written to.
void prefetch_outputs(const Tiles& tiles, const Panel& panel, int tile) {
  const Corner corner = tiles.corner(tile);
  for (int i = 0; i < corner.rows; ++i) {
    for (int j = 0; j < corner.columns; ++j) {
      const ptrdiff_t pixel = corner.pixel + ptrdiff_t(i) * tiles.w + j;
      __builtin_prefetch(panel.target.data + pixel * panel.target.channels + panel.channel, 1, 2);
    }
  }
}

/// The panel's products for `tiles` tiles, at point i: [tile][16].
void multiply_point(const Pass& pass, const WinogradWorkspace& layout, int panel, int i, int tiles,
                    const float* inputs, float* products) {
  const float* const b = layout.filter_panel(panel) + i * layout.filter_plane;
  for_row_groups(tiles, [&]<int rows>(int row) {
    const ptrdiff_t at = i * plane(kBlock) + row * kLine;
    Vec sum[rows][kLineVecs] = {};
    for (int line = 0; line < depth(pass); ++line) {
      add_products<rows>(sum, kLine, inputs + line * chunk(kBlock) + at, kLine, 1, b + line * kLine * kLine);
    }
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < kLineVecs; ++v) store(products + at + r * kLine + v * kLanes, sum[r][v]);
    }
  });
}

/// Tiles [first, last) through the three stages.
void run_block(const Pass& pass, const WinogradWorkspace& layout, const Tiles& tiles, int first, int last,
               float* inputs, float* products) {
  const auto pass_on = [](int, Vec v) { return v; };
  float* points = inputs;
  for (const Source& source : pass.sources) {
    transform_tiles<kBlock, kPatch, 1>(input_points<Vec>, tiles, source, layout.zeros, first, last, points,
                                       pass_on);
    points += lines(source.channels) * chunk(kBlock);
  }
  for_panels(pass, [&](const Panel& panel) {
    for (int i = 0; i < kPoints; ++i) {
      if (first + i < last) prefetch_outputs(tiles, panel, first + i);
      if (panel.channel == 0 && i < kBlock && last + i < tiles.count())
        prefetch_inputs(pass, tiles, last + i);
      multiply_point(pass, layout, panel.index, i, last - first, inputs, products);
    }
    transform_outputs(tiles, first, last, products, pass.bias, panel);
  });
}

void run_pass(CpuStream& stream, const Conv2dDims& d, const Pass& pass, std::byte* workspace) {
  const WinogradWorkspace layout(stream, pass, workspace);
  const Tiles tiles(d);
  const int threads = stream.threads(), count = tiles.count(), blocks = div_up(count, kBlock);
  // Runs of neighbours, so that a block's prefetch is for its own thread; several, so that one busy core does not
  // hold up all.
  const int run = std::max(1, blocks / (8 * threads));
  std::fill_n(layout.zeros, WinogradWorkspace::widest(pass), 0.0f);
#pragma omp parallel num_threads(threads)
  {
    const int thread = omp_get_thread_num();
    for_own_panels(pass, thread, threads,
                   [&](const Panel& panel) { transform_filters(pass, layout, panel); });
    float* const inputs = layout.inputs + thread * layout.inputs_size;
    float* const products = layout.products + thread * chunk(kBlock);
#pragma omp barrier
#pragma omp for schedule(dynamic, run)
    for (int i = 0; i < blocks; ++i) {
      const int first = int(int64_t(count) * i / blocks), last = int(int64_t(count) * (i + 1) / blocks);
      run_block(pass, layout, tiles, first, last, inputs, products);
    }
  }
}

}  // namespace

size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass kind) {
  if (kind == ConvPass::backward_weights) return weights_workspace_bytes(stream, d);
  const Pass pass = kind == ConvPass::forward ? forward_pass(d, {}) : backward_pass(d, {});
  return WinogradWorkspace(stream, pass, nullptr).bytes;
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  run_pass(stream, d, forward_pass(d, a), workspace);
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  run_pass(stream, d, backward_pass(d, a), workspace);
}

}  // namespace ito::kernels::conv2d::winograd

namespace ito::kernels::conv2d {

const Algorithm kWinograd{"winograd", winograd::workspace_bytes, winograd::forward, winograd::backward_data,
                          winograd::backward_weights};

}  // namespace ito::kernels::conv2d
