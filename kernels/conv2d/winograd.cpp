// 3x3 convolution, stride 1, padding 1, by F(4x4, 3x3): the pass that maps images to images, forward or
// backward. A block of tiles goes through the three stages (input points, 36 matrix products, outputs) while
// it stays in the second-level cache; threads take blocks.
#include "kernels/conv2d/winograd.h"

#include <omp.h>

#include <algorithm>

#include "kernels/conv2d/micro_kernel.h"

namespace ito::kernels::conv2d::winograd {
namespace {

/// What a block's input points may take: 256 KiB, half of a typical second-level cache.
constexpr int kBlockFloats = 1 << 16;
struct Pass {
  ConvPass kind;
  int n, h, w;
  Source sources[2];
  struct {
    float* data;
    int channels;
  } targets[2];
  const float *filters, *bias;
  int c, k;
};

/// How a pass is cut up, and where its parts lie in the workspace.
struct Plan {
  Tiles tiles;
  int depth, panels, block, blocks;                    // block: tiles at most
  ptrdiff_t filter_plane, input_plane, product_plane;  // floats from one point to the next
  float *filters, *zeros, *inputs, *products;
  ptrdiff_t inputs_stride, products_stride;  // floats from one thread to the next
  size_t bytes;

  Plan(int threads, const Tiles& tiles, int depth, int panels, int widest_source, std::byte* workspace)
      : tiles(tiles), depth(depth), panels(panels) {
    const int fitting = kBlockFloats / (kPoints * depth) / kRows * kRows;
    const int most = std::clamp(fitting, 2 * kRows, 8 * kRows);
    blocks = std::min(tiles.count(), round_up((tiles.count() + most - 1) / most, threads));
    block = (tiles.count() + blocks - 1) / blocks;
    filter_plane = ptrdiff_t(depth) * kPanel + kSkew;
    input_plane = ptrdiff_t(block) * depth + kSkew;
    product_plane = ptrdiff_t(block) * kPanel + kSkew;
    inputs_stride = kPoints * input_plane;
    products_stride = kPoints * product_plane;
    Carver carver(workspace);
    filters = carver.take<float>(size_t(panels) * kPoints * filter_plane);
    zeros = carver.take<float>(widest_source);
    inputs = carver.take<float>(size_t(threads) * inputs_stride);
    products = carver.take<float>(size_t(threads) * products_stride);
    bytes = carver.used();
  }
};

int panels_of(int channels) { return (channels + kPanel - 1) / kPanel; }

/// For dimensions alone; both of a gradient's targets are reckoned with.
Plan plan_for(CpuStream& stream, const Conv2dDims& d, ConvPass kind, std::byte* workspace) {
  const bool forward = kind == ConvPass::forward;
  const int depth = forward ? padded(d.c1, d.c2) : padded(d.k, 0);
  const int panels = forward ? panels_of(d.k) : panels_of(d.c1) + panels_of(d.c2);
  return Plan(stream.threads(), Tiles(d), depth, panels, forward ? std::max(d.c1, d.c2) : d.k, workspace);
}

/// The 3x3 taps between one source channel and kLanes target channels.
struct Taps {
  Vec g[9];
};

/// Forward: targets are filters, 9 C floats apart.
Taps taps_forward(const Pass& pass, int target, int count, int source) {
  Taps taps{};
  for (int i = 0; i < count; ++i) {
    const float* w = pass.filters + size_t(target + i) * 9 * pass.c + source;
    for (int tap = 0; tap < 9; ++tap) taps.g[tap][i] = w[tap * pass.c];
  }
  return taps;
}

/// Backward: targets are input channels, neighbours in memory; the filter is turned by half a turn.
Taps taps_backward(const Pass& pass, int target, int count, int source) {
  Taps taps{};
  for (int tap = 0; tap < 9; ++tap) {
    const float* w = pass.filters + (size_t(source) * 9 + 8 - tap) * pass.c + target;
    taps.g[tap] = count < kLanes ? load_part(w, count) : load(w);
  }
  return taps;
}

/// The points of one panel of filters, [36][depth][kPanel]: targets from `target` on, `count` of them.
void transform_filters(const Pass& pass, const Plan& plan, int target, int count, float* to) {
  int row = 0, source = 0;
  for (const auto& s : pass.sources) {
    for (int i = 0; i < round_up(s.channels, kLanes); ++i, ++row) {
      for (int lane = 0; lane < kPanel; lane += kLanes) {
        const int lanes = i < s.channels ? std::clamp(count - lane, 0, kLanes) : 0;
        const auto taps_of = pass.kind == ConvPass::forward ? taps_forward : taps_backward;
        const Taps taps = taps_of(pass, target + lane, lanes, source + i);
        float* const at = to + size_t(row) * kPanel + lane;
        transform_2d<3, kPatch, Vec>(
            filter_points<Vec>, [&](int r, int s) { return taps.g[r * 3 + s]; },
            [&](int r, int s, Vec v) { store(at + (r * kPatch + s) * plan.filter_plane, v); });
      }
    }
    source += s.channels;
  }
}

/// The outputs of tiles [first, last) in `count` channels from `channel` on, from the panel's products
/// [36][tile][kPanel]; `bias` is that of the first.
void transform_outputs(const Plan& plan, int first, int last, const float* products, const float* bias,
                       float* data, int channels, int channel, int count) {
  for (int tile = first; tile < last; ++tile, products += kPanel) {
    const Corner corner = plan.tiles.corner(tile);
    for (int lane = 0; lane < count; lane += kLanes) {
      const int lanes = std::min(kLanes, count - lane);
      const Vec offset = !bias ? Vec{} : lanes < kLanes ? load_part(bias + lane, lanes) : load(bias + lane);
      float* const at = data + corner.pixel * channels + channel + lane;
      transform_2d<kPatch, kTile, Vec>(
          output_from_points<Vec>,
          [&](int i, int j) { return load(products + (i * kPatch + j) * plan.product_plane + lane); },
          [&](int i, int j, Vec v) {
            if (i >= corner.rows || j >= corner.columns) return;
            float* const y = at + (ptrdiff_t(i) * plan.tiles.w + j) * channels;
            if (lanes == kLanes) {
              store(y, v + offset);
            } else {
              store_part(y, v + offset, lanes);
            }
          });
    }
  }
}

/// f(panel, target index, channel, count) for each panel of each wanted target.
template <class F>
void for_panels(const Pass& pass, F&& f) {
  int panel = 0;
  for (int t = 0; t < 2; ++t) {
    for (int c = 0; c < pass.targets[t].channels; c += kPanel, ++panel) {
      if (pass.targets[t].data) f(panel, t, c, std::min(kPanel, pass.targets[t].channels - c));
    }
  }
}

void run_block(const Pass& pass, const Plan& plan, int first, int last, float* inputs, float* products) {
  transform_inputs(plan.tiles, pass.sources, plan.zeros, first, last, inputs, plan.depth, plan.input_plane);
  const Strides strides{plan.depth, 1, kPanel, kPanel};
  for_panels(pass, [&](int panel, int t, int channel, int count) {
    const float* filters = plan.filters + ptrdiff_t(panel) * kPoints * plan.filter_plane;
    for (int i = 0; i < kPoints; ++i) {
      multiply_panel<false>(last - first, plan.depth, inputs + i * plan.input_plane,
                            filters + i * plan.filter_plane, products + i * plan.product_plane, strides);
    }
    const auto& target = pass.targets[t];
    transform_outputs(plan, first, last, products, pass.bias ? pass.bias + channel : nullptr, target.data,
                      target.channels, channel, count);
  });
}

void run(CpuStream& stream, const Pass& pass, const Plan& plan) {
  const int threads = stream.threads(), tiles = plan.tiles.count();
  std::fill_n(plan.zeros, std::max(pass.sources[0].channels, pass.sources[1].channels), 0.0f);
#pragma omp parallel num_threads(threads)
  {
    for_panels(pass, [&](int panel, int t, int channel, int count) {
      if (panel % threads != omp_get_thread_num()) return;
      const int target = (t == 0 ? 0 : pass.targets[0].channels) + channel;
      transform_filters(pass, plan, target, count,
                        plan.filters + ptrdiff_t(panel) * kPoints * plan.filter_plane);
    });
    float* const inputs = plan.inputs + omp_get_thread_num() * plan.inputs_stride;
    float* const products = plan.products + omp_get_thread_num() * plan.products_stride;
#pragma omp barrier
#pragma omp for schedule(dynamic)
    for (int i = 0; i < plan.blocks; ++i) {
      const int first = int(int64_t(tiles) * i / plan.blocks),
                last = int(int64_t(tiles) * (i + 1) / plan.blocks);
      run_block(pass, plan, first, last, inputs, products);
    }
  }
}

}  // namespace

size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass kind) {
  if (kind == ConvPass::backward_weights) return weights_workspace_bytes(stream, d);
  return plan_for(stream, d, kind, nullptr).bytes;
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  const Pass pass{ConvPass::forward,          d.n, d.h,    d.w,   {{a.x, d.c1}, {a.x2, d.c2}},
                  {{a.y, d.k}, {nullptr, 0}}, a.w, a.bias, d.c(), d.k};
  run(stream, pass, plan_for(stream, d, pass.kind, workspace));
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  const Pass pass{ConvPass::backward_data,       d.n, d.h,     d.w,   {{a.dy, d.k}, {nullptr, 0}},
                  {{a.dx, d.c1}, {a.dx2, d.c2}}, a.w, nullptr, d.c(), d.k};
  run(stream, pass, plan_for(stream, d, pass.kind, workspace));
}

}  // namespace ito::kernels::conv2d::winograd

namespace ito::kernels::conv2d {

const Algorithm kWinograd{"wino", winograd::workspace_bytes, winograd::forward, winograd::backward_data,
                          winograd::backward_weights};

}  // namespace ito::kernels::conv2d
