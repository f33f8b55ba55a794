// 1x1 convolution, stride 1, no padding: pixels times a small matrix, straight from both sources to the
// targets.
#include <omp.h>

#include "kernels/conv2d/micro_kernel.h"
#include "kernels/conv2d/pass.h"

namespace ito::kernels::conv2d {
namespace {

constexpr int kSquare = kLine * kLine;

/// The filters as panels of 16 targets: [panel][source channel][16], zeros past the last target.
struct Filters {
  float* data;
  ptrdiff_t panel_size;
  size_t bytes;

  Filters(const Pass& pass, std::byte* workspace)
      : panel_size(ptrdiff_t(pass.sources[0].channels + pass.sources[1].channels) * kLine) {
    Carver carver(workspace);
    data = carver.take<float>(pass.panels() * panel_size);
    bytes = carver.used();
  }

  void pack(const Pass& pass, const Panel& panel) const {
    float* const to = data + panel.index * panel_size;
    const int channels = pass.sources[0].channels + pass.sources[1].channels;
    const bool forward = pass.kind == ConvPass::forward;
    for (int c = 0; c < channels; ++c) {
      for (int i = 0; i < kLine; ++i) {
        const int target = panel.filter_channel + i;
        const ptrdiff_t at = forward ? ptrdiff_t(target) * pass.c + c : ptrdiff_t(c) * pass.c + target;
        to[c * kLine + i] = i < panel.count ? pass.filters[at] : 0.0f;
      }
    }
  }
};

/// A panel of outputs of `rows` pixels from `pixel` on.
template <int rows>
void multiply_pixels(const Pass& pass, const Filters& filters, const Panel& panel, ptrdiff_t pixel) {
  Vec sum[rows][kLineVecs];
  for (int v = 0; v < kLineVecs; ++v) {
    const int from = v * kLanes;
    const Vec start = pass.bias ? load_some(pass.bias + panel.channel + from, panel.count - from) : Vec{};
    for (int r = 0; r < rows; ++r) sum[r][v] = start;
  }
  const float* b = filters.data + panel.index * filters.panel_size;
  for (const Source& source : pass.sources) {
    if (source.channels == 0) continue;
    const ptrdiff_t c = source.channels;
    add_products<rows>(sum, source.channels, source.data + pixel * c, c, 1, b);
    b += c * kLine;
  }
  for (int r = 0; r < rows; ++r) {
    float* const y = panel.target.data + (pixel + r) * panel.target.channels + panel.channel;
    for (int v = 0; v < kLineVecs; ++v) store_some(y + v * kLanes, sum[r][v], panel.count - v * kLanes);
  }
}

void run_pass(CpuStream& stream, const Conv2dDims& d, const Pass& pass, std::byte* workspace) {
  const Filters filters(pass, workspace);
  const ptrdiff_t pixels = ptrdiff_t(d.n) * d.h * d.w;
  const int threads = stream.threads();
#pragma omp parallel num_threads(threads)
  {
    for_own_panels(pass, omp_get_thread_num(), threads,
                   [&](const Panel& panel) { filters.pack(pass, panel); });
#pragma omp barrier
#pragma omp for schedule(static)
    for (ptrdiff_t pixel = 0; pixel < pixels; pixel += kRows) {
      with_constant<kRows>(int(std::min<ptrdiff_t>(kRows, pixels - pixel)), [&]<int rows>() {
        for_panels(pass, [&](const Panel& panel) { multiply_pixels<rows>(pass, filters, panel, pixel); });
      });
    }
  }
}

/// The weights' gradient: each thread sums over its own pixels, a block at a time, in squares of 16 x 16; the
/// sums are then added in the threads' order. Blocks of x and dy are copied into lines of 16 channels.
struct Sums {
  static constexpr int kBlock = 64;
  static constexpr int kChunk = kBlock * kLine;
  int threads, c_lines, k_lines;
  ptrdiff_t share;
  float* shares;
  size_t bytes;

  Sums(CpuStream& stream, const Conv2dDims& d, std::byte* workspace)
      : threads(stream.threads()), c_lines(lines(d.c1) + lines(d.c2)), k_lines(lines(d.k)) {
    share = ptrdiff_t(k_lines) * c_lines * kSquare + ptrdiff_t(c_lines + k_lines) * kChunk + k_lines * kLine;
    Carver carver(workspace);
    shares = carver.take<float>(size_t(threads) * share);
    bytes = carver.used();
  }
  float* squares(int thread) const { return shares + thread * share; }  // [K / 16][C / 16][16][16]
  float* inputs(int thread) const { return squares(thread) + ptrdiff_t(k_lines) * c_lines * kSquare; }
  float* gradients(int thread) const { return inputs(thread) + ptrdiff_t(c_lines) * kChunk; }
  float* bias(int thread) const { return gradients(thread) + ptrdiff_t(k_lines) * kChunk; }
};

/// Pixels [first, last) as [channels / 16][pixel][16], zeros past the last channel.
void copy_lines(const Source& source, ptrdiff_t first, ptrdiff_t last, float* to) {
  for (int line = 0; line < lines(source.channels); ++line, to += Sums::kChunk) {
    for (ptrdiff_t pixel = first; pixel < last; ++pixel) {
      for (int c = line * kLine, lane = 0; lane < kLine; lane += kLanes, c += kLanes) {
        const Vec v = load_some(source.data + pixel * source.channels + c, source.channels - c);
        store(to + (pixel - first) * kLine + lane, v);
      }
    }
  }
}

/// to += each line of `from`.
void add_rows(int count, const float* from, float* to) {
  for (int lane = 0; lane < kLine; lane += kLanes) {
    Vec sum = load(to + lane);
    for (int i = 0; i < count; ++i) sum += load(from + i * kLine + lane);
    store(to + lane, sum);
  }
}

void sum_pixels(const Sums& sums, const Source (&sources)[2], const Source& dy, ptrdiff_t begin,
                ptrdiff_t end, int thread) {
  float* const bias = sums.bias(thread);
  std::fill_n(sums.squares(thread), ptrdiff_t(sums.k_lines) * sums.c_lines * kSquare, 0.0f);
  std::fill_n(bias, sums.k_lines * kLine, 0.0f);
  for (ptrdiff_t first = begin; first < end; first += Sums::kBlock) {
    const int pixels = int(std::min<ptrdiff_t>(Sums::kBlock, end - first));
    float *inputs = sums.inputs(thread), *const gradients = sums.gradients(thread),
          *square = sums.squares(thread);
    copy_lines(dy, first, first + pixels, gradients);
    for (const Source& source : sources) {
      copy_lines(source, first, first + pixels, inputs);
      inputs += lines(source.channels) * Sums::kChunk;
    }
    for (int k = 0; k < sums.k_lines; ++k) {
      const float* const a = gradients + k * Sums::kChunk;
      add_rows(pixels, a, bias + k * kLine);
      for (int c = 0; c < sums.c_lines; ++c, square += kSquare) {
        add_square(pixels, a, sums.inputs(thread) + c * Sums::kChunk, square);
      }
    }
  }
}

/// dw[k, :] and dbias[k] from all threads' sums.
void add_shares(const Sums& sums, const Source (&sources)[2], int k, float* dw, float* dbias) {
  const float* square = sums.squares(0) + ptrdiff_t(k / kLine) * sums.c_lines * kSquare + k % kLine * kLine;
  for (const Source& source : sources) {
    for (int c = 0; c < source.channels; ++c) {
      dw[c] = 0;
      for (int t = 0; t < sums.threads; ++t)
        dw[c] += square[t * sums.share + c / kLine * kSquare + c % kLine];
    }
    square += lines(source.channels) * kSquare;
    dw += source.channels;
  }
  if (!dbias) return;
  dbias[k] = 0;
  for (int t = 0; t < sums.threads; ++t) dbias[k] += sums.bias(t)[k];
}

size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass kind) {
  if (kind == ConvPass::backward_weights) return Sums(stream, d, nullptr).bytes;
  return Filters(kind == ConvPass::forward ? forward_pass(d, {}) : backward_pass(d, {}), nullptr).bytes;
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  run_pass(stream, d, forward_pass(d, a), workspace);
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  run_pass(stream, d, backward_pass(d, a), workspace);
}

void backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<float>& a,
                      std::byte* workspace) {
  const Sums sums(stream, d, workspace);
  const Source sources[2] = {{a.x, d.c1}, {a.x2, d.c2}};
  const int64_t pixels = int64_t(d.n) * d.h * d.w;
#pragma omp parallel num_threads(sums.threads)
  {
#pragma omp for schedule(static, 1)
    for (int thread = 0; thread < sums.threads; ++thread) {
      const int64_t begin = pixels * thread / sums.threads, end = pixels * (thread + 1) / sums.threads;
      sum_pixels(sums, sources, {a.dy, d.k}, begin, end, thread);
    }
#pragma omp for schedule(static)
    for (int k = 0; k < d.k; ++k) add_shares(sums, sources, k, a.dw + ptrdiff_t(k) * d.c(), a.dbias);
  }
}

}  // namespace

const Algorithm kPointwise{"pointwise", workspace_bytes, forward, backward_data, backward_weights};

}  // namespace ito::kernels::conv2d
