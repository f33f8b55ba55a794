// 1x1 convolution, stride 1, no padding: pixels times a small matrix, straight from both sources to the
// targets.
#include "kernels/conv2d/micro_kernel.h"
#include "kernels/conv2d/pass.h"
#include "kernels/parallel.h"

namespace ito::kernels::conv2d {
namespace {

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
    if (pass.kind == ConvPass::backward_data) {
      const float* from = pass.filters + panel.filter_channel;
      for (int c = 0; c < channels; ++c, from += pass.c) {
        for (int v = 0; v < kLine; v += kLanes)
          store(to + c * kLine + v, load_some(from + v, panel.count - v));
      }
      return;
    }
    const float* const from = pass.filters + ptrdiff_t(panel.filter_channel) * pass.c;
    for (int first = 0; first < channels; first += kLine) {  // a square at a time, which stays in the cache
      const int last = std::min(first + kLine, channels);
      for (int i = 0; i < kLine; ++i) {
        for (int c = first; c < last; ++c)
          to[c * kLine + i] = i < panel.count ? from[ptrdiff_t(i) * pass.c + c] : 0.0f;
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

/// Threads take groups of pixels, and where these are few, as in a linear layer of a few rows, some of the panels of a
/// group: no sum is divided.
void run_pass(CpuStream& stream, const Conv2dDims& d, const Pass& pass, std::byte* workspace) {
  const Filters filters(pass, workspace);
  const ptrdiff_t pixels = ptrdiff_t(d.n) * d.h * d.w;
  const int threads = stream.threads();
  const int64_t groups = div_up(pixels, ptrdiff_t(kRows));
  const int shares =
      groups >= 2 * threads ? 1 : int(std::min<int64_t>(pass.panels(), div_up<int64_t>(2 * threads, groups)));
  parallel_each(stream, pass.panels(), [&](int64_t share) {
    for_own_panels(pass, int(share), pass.panels(), [&](const Panel& panel) { filters.pack(pass, panel); });
  });
  parallel_each(stream, groups * shares, [&](int64_t i) {
    const ptrdiff_t pixel = i / shares * kRows;
    with_constant<kRows>(int(std::min<ptrdiff_t>(kRows, pixels - pixel)), [&]<int rows>() {
      for_own_panels(pass, int(i % shares), shares,
                     [&](const Panel& panel) { multiply_pixels<rows>(pass, filters, panel, pixel); });
    });
  });
}

size_t workspace_bytes(CpuStream&, const Conv2dDims& d, ConvPass kind) {
  return Filters(kind == ConvPass::forward ? forward_pass(d, {}) : backward_pass(d, {}), nullptr).bytes;
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  run_pass(stream, d, forward_pass(d, a), workspace);
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  run_pass(stream, d, backward_pass(d, a), workspace);
}

}  // namespace

const Algorithm kPointwise{"pointwise", workspace_bytes, forward, backward_data, nullptr};

}  // namespace ito::kernels::conv2d
