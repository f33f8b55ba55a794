// The weights' gradient of a 3x3 convolution, stride 1, padding 1, by F(4x4, 3x3):
//   dw = G^T [ sum over tiles of (A dy A^T) .* (B^T x B) ] G.
// Each thread sums over its own tiles, a block at a time; the sums are then added in the threads' order.
#include <omp.h>

#include <algorithm>

#include "kernels/conv2d/micro_kernel.h"
#include "kernels/conv2d/winograd.h"

namespace ito::kernels::conv2d::winograd {
namespace {

constexpr int kBlockFloats = 1 << 17;  // a block's points of x and dy

struct Plan {
  Tiles tiles;
  int threads, k, width, outputs, block;  // rows of points: `width` floats of x, `outputs` of dy
  ptrdiff_t input_plane, output_plane, sum_plane;
  float *zeros, *inputs, *gradients, *sums, *bias_sums;  // all but zeros: one a thread
  ptrdiff_t inputs_stride, gradients_stride, sums_stride, bias_stride;
  size_t bytes;

  Plan(CpuStream& stream, const Conv2dDims& d, std::byte* workspace)
      : tiles(d),
        threads(stream.threads()),
        k(d.k),
        width(round_up(padded(d.c1, d.c2), kPanel)),
        outputs(round_up(d.k, kLanes)) {
    const int fitting = kBlockFloats / (kPoints * (width + outputs));
    const int share = (tiles.count() + threads - 1) / threads;
    block = std::min(share, std::clamp(fitting, 24, 64));
    input_plane = ptrdiff_t(block) * width + kSkew;
    output_plane = ptrdiff_t(block) * outputs + kSkew;
    sum_plane = ptrdiff_t(k) * width + kSkew;
    inputs_stride = kPoints * input_plane;
    gradients_stride = kPoints * output_plane;
    sums_stride = kPoints * sum_plane;
    bias_stride = round_up(outputs, kSkew);
    Carver carver(workspace);
    zeros = carver.take<float>(std::max({d.c1, d.c2, d.k}));
    inputs = carver.take<float>(size_t(threads) * inputs_stride);
    gradients = carver.take<float>(size_t(threads) * gradients_stride);
    sums = carver.take<float>(size_t(threads) * sums_stride);
    bias_sums = carver.take<float>(size_t(threads) * bias_stride);
    bytes = carver.used();
  }
  int first_tile(int thread) const { return int(int64_t(tiles.count()) * thread / threads); }
};

/// The points of dy under tiles [first, last), [36][tile][outputs]; each channel's sum is added to
/// `bias_sums`.
void transform_gradients(const Plan& plan, const float* dy, int first, int last, float* to,
                         float* bias_sums) {
  for (int tile = first; tile < last; ++tile, to += plan.outputs) {
    const Corner corner = plan.tiles.corner(tile);
    const float* pixels[kTile * kTile];
    for (int i = 0; i < kTile * kTile; ++i) {
      const int row = i / kTile, column = i % kTile;
      const bool inside = row < corner.rows && column < corner.columns;
      pixels[i] = inside ? dy + (corner.pixel + ptrdiff_t(row) * plan.tiles.w + column) * plan.k : plan.zeros;
    }
    for (int k = 0; k < plan.k; k += kLanes) {
      const int lanes = std::min(kLanes, plan.k - k);
      Vec sum = load(bias_sums + k);
      transform_2d<kTile, kPatch, Vec>(
          output_points<Vec>,
          [&](int i, int j) {
            const float* const from = pixels[i * kTile + j] + k;
            const Vec v = lanes == kLanes ? load(from) : load_part(from, lanes);
            sum += v;
            return v;
          },
          [&](int i, int j, Vec v) { store(to + (i * kPatch + j) * plan.output_plane + k, v); });
      store(bias_sums + k, sum);
    }
  }
}

/// The sums of one thread's tiles.
void sum_tiles(const Plan& plan, const Source (&sources)[2], const float* dy, int thread) {
  float* const inputs = plan.inputs + thread * plan.inputs_stride;
  float* const gradients = plan.gradients + thread * plan.gradients_stride;
  float* const sums = plan.sums + thread * plan.sums_stride;
  float* const bias_sums = plan.bias_sums + thread * plan.bias_stride;
  const Strides strides{1, plan.outputs, plan.width, plan.width};
  std::fill_n(sums, plan.sums_stride, 0.0f);
  std::fill_n(bias_sums, plan.bias_stride, 0.0f);
  std::fill_n(inputs, plan.inputs_stride, 0.0f);  // the columns between the channels and the last panel's end
  const int end = plan.first_tile(thread + 1);
  for (int first = plan.first_tile(thread); first < end; first += plan.block) {
    const int last = std::min(first + plan.block, end);
    transform_inputs(plan.tiles, sources, plan.zeros, first, last, inputs, plan.width, plan.input_plane);
    transform_gradients(plan, dy, first, last, gradients, bias_sums);
    for (int i = 0; i < kPoints; ++i) {
      for (int c = 0; c < plan.width; c += kPanel) {
        multiply_panel<true>(plan.k, last - first, gradients + i * plan.output_plane,
                             inputs + i * plan.input_plane + c, sums + i * plan.sum_plane + c, strides);
      }
    }
  }
}

/// dw[k, :, :, c..], for one vector of channels that lies at `column` of the sums.
void filter_gradient(const Plan& plan, int k, int column, int lanes, float* dw, int c_total) {
  const float* const sums = plan.sums + ptrdiff_t(k) * plan.width + column;
  transform_2d<kPatch, 3, Vec>(
      filter_from_points<Vec>,
      [&](int i, int j) {
        Vec sum{};
        for (int t = 0; t < plan.threads; ++t) {
          sum += load(sums + t * plan.sums_stride + (i * kPatch + j) * plan.sum_plane);
        }
        return sum;
      },
      [&](int r, int s, Vec v) {
        float* const to = dw + (r * 3 + s) * c_total;
        if (lanes == kLanes) {
          store(to, v);
        } else {
          store_part(to, v, lanes);
        }
      });
}

}  // namespace

size_t weights_workspace_bytes(CpuStream& stream, const Conv2dDims& d) {
  return Plan(stream, d, nullptr).bytes;
}

void backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<float>& a,
                      std::byte* workspace) {
  const Plan plan(stream, d, workspace);
  const Source sources[2] = {{a.x, d.c1}, {a.x2, d.c2}};
  std::fill_n(plan.zeros, std::max({d.c1, d.c2, d.k}), 0.0f);
#pragma omp parallel num_threads(plan.threads)
  {
#pragma omp for schedule(static, 1)
    for (int thread = 0; thread < plan.threads; ++thread) sum_tiles(plan, sources, a.dy, thread);
#pragma omp for schedule(static)
    for (int k = 0; k < d.k; ++k) {
      float* const dw = a.dw + size_t(k) * 9 * d.c();
      int column = 0, channel = 0;
      for (const Source& source : sources) {
        for (int c = 0; c < source.channels; c += kLanes, column += kLanes) {
          filter_gradient(plan, k, column, std::min(kLanes, source.channels - c), dw + channel + c, d.c());
        }
        channel += source.channels;
      }
      if (!a.dbias) continue;
      a.dbias[k] = 0;
      for (int t = 0; t < plan.threads; ++t) a.dbias[k] += plan.bias_sums[t * plan.bias_stride + k];
    }
  }
}

}  // namespace ito::kernels::conv2d::winograd
