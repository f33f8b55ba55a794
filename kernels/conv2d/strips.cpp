// Convolution of any shape as matrix products: the pixels that a strip of outputs reads are gathered into the
// rows of a small matrix (im2col), strip by strip, so that the matrix stays in the cache. A strip never
// crosses images: an image's sums do not depend on its place in the batch.
#include <omp.h>

#include <Eigen/Core>
#include <algorithm>
#include <cstring>

#include "kernels/base/math.h"
#include "kernels/conv2d/algorithms.h"
#include "kernels/parallel.h"

namespace ito::kernels::conv2d {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<Matrix>;
using ConstView = Eigen::Map<const Matrix>;

constexpr int kStripFloats = 1 << 16;  // 256 KiB, half of a typical second-level cache

int strip_length(int image_pixels, int row_length) {
  return std::min(image_pixels, std::clamp(kStripFloats / row_length, 8, 256));
}

/// Strips of one image's `pixels`, numbered through the batch.
struct Strips {
  int pixels, length, per_image, count;
  Strips(int n, int pixels, int row_length)
      : pixels(pixels),
        length(strip_length(pixels, row_length)),
        per_image(div_up(pixels, length)),
        count(n * per_image) {}
  int image(int strip) const { return strip / per_image; }
  int first(int strip) const { return strip % per_image * length; }
  int rows(int strip) const { return std::min(length, pixels - first(strip)); }
};

Strips output_strips(const Conv2dDims& d) { return {d.n, d.out_h() * d.out_w(), d.r * d.s * d.c()}; }
Strips input_strips(const Conv2dDims& d) { return {d.n, d.h * d.w, d.r * d.s * d.k}; }

void copy_or_zero(const float* from, int count, float* to) {
  if (from) {
    memcpy(to, from, count * sizeof(float));
  } else {
    memset(to, 0, count * sizeof(float));
  }
}

/// Row i of `columns` [rows, R*S*C]: the inputs of output pixel first + i of image n.
void gather_inputs(const Conv2dDims& d, const float* x, const float* x2, int n, int first, int rows,
                   float* columns) {
  for (int i = first; i < first + rows; ++i) {
    for (int tap = 0; tap < d.r * d.s; ++tap, columns += d.c()) {
      const int h = i / d.out_w() * d.stride + tap / d.s - d.pad_top;
      const int w = i % d.out_w() * d.stride + tap % d.s - d.pad_left;
      const bool inside = h >= 0 && h < d.h && w >= 0 && w < d.w;
      const size_t pixel = inside ? (size_t(n) * d.h + h) * d.w + w : 0;
      copy_or_zero(inside ? x + pixel * d.c1 : nullptr, d.c1, columns);
      if (d.c2 > 0) copy_or_zero(inside ? x2 + pixel * d.c2 : nullptr, d.c2, columns + d.c1);
    }
  }
}

/// Row i of `columns` [rows, R*S*K]: the output gradients that input pixel first + i of image n feeds.
void gather_outputs(const Conv2dDims& d, const float* dy, int n, int first, int rows, float* columns) {
  for (int i = first; i < first + rows; ++i) {
    for (int tap = 0; tap < d.r * d.s; ++tap, columns += d.k) {
      const int y = i / d.w + d.pad_top - tap / d.s, x = i % d.w + d.pad_left - tap % d.s;
      const int p = y / d.stride, q = x / d.stride;
      const bool met =
          y >= 0 && x >= 0 && y % d.stride == 0 && x % d.stride == 0 && p < d.out_h() && q < d.out_w();
      copy_or_zero(met ? dy + ((size_t(n) * d.out_h() + p) * d.out_w() + q) * d.k : nullptr, d.k, columns);
    }
  }
}

/// What a pass keeps in the workspace: columns, one matrix a thread; weights, in another order.
struct StripsWorkspace {
  float *columns, *weights = nullptr;
  size_t columns_stride = 0, bytes = 0;

  StripsWorkspace(CpuStream& stream, const Conv2dDims& d, ConvPass pass, std::byte* workspace) {
    Carver carver(workspace);
    const bool data = pass == ConvPass::backward_data;
    const size_t row_length = size_t(d.r) * d.s * (data ? d.k : d.c());
    columns_stride = (data ? input_strips(d) : output_strips(d)).length * row_length;
    columns = carver.take<float>(columns_stride * stream.threads());
    if (data) weights = carver.take<float>(row_length * d.c());
    bytes = carver.used();
  }
};

size_t workspace_bytes(CpuStream& stream, const Conv2dDims& d, ConvPass pass) {
  return StripsWorkspace(stream, d, pass, nullptr).bytes;
}

/// body(thread, strip) for each strip.
template <class Body>
void for_strips(CpuStream& stream, const Strips& strips, Body&& body) {
  parallel_each(stream, strips.count, [&](int64_t strip) { body(omp_get_thread_num(), int(strip)); });
}

void forward(CpuStream& stream, const Conv2dDims& d, const Forward<float>& a, std::byte* workspace) {
  const StripsWorkspace layout(stream, d, ConvPass::forward, workspace);
  const Strips strips = output_strips(d);
  const int row_length = d.r * d.s * d.c();
  const ConstView w(a.w, d.k, row_length);
  for_strips(stream, strips, [&](int thread, int strip) {
    const int n = strips.image(strip), first = strips.first(strip), rows = strips.rows(strip);
    float* const gathered = layout.columns + thread * layout.columns_stride;
    gather_inputs(d, a.x, a.x2, n, first, rows, gathered);
    View y(a.y + (size_t(n) * strips.pixels + first) * d.k, rows, d.k);
    y.noalias() = ConstView(gathered, rows, row_length) * w.transpose();
    if (a.bias) y.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(a.bias, d.k);
  });
}

void backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<float>& a,
                   std::byte* workspace) {
  const StripsWorkspace layout(stream, d, ConvPass::backward_data, workspace);
  const Strips strips = input_strips(d);
  const int taps = d.r * d.s;
  for (int k = 0; k < d.k; ++k) {  // [K, R*S, C] -> [R*S, K, C], the order of gather_outputs
    for (int tap = 0; tap < taps; ++tap) {
      memcpy(layout.weights + (size_t(tap) * d.k + k) * d.c(), a.w + (size_t(k) * taps + tap) * d.c(),
             d.c() * sizeof(float));
    }
  }
  const ConstView w(layout.weights, taps * d.k, d.c());
  for_strips(stream, strips, [&](int thread, int strip) {
    const int n = strips.image(strip), first = strips.first(strip), rows = strips.rows(strip);
    float* const gathered = layout.columns + thread * layout.columns_stride;
    gather_outputs(d, a.dy, n, first, rows, gathered);
    const ConstView columns(gathered, rows, taps * d.k);
    const size_t pixel = size_t(n) * strips.pixels + first;
    if (a.dx) View(a.dx + pixel * d.c1, rows, d.c1).noalias() = columns * w.leftCols(d.c1);
    if (a.dx2) View(a.dx2 + pixel * d.c2, rows, d.c2).noalias() = columns * w.rightCols(d.c2);
  });
}

}  // namespace

const Algorithm kStrips{"eigen", workspace_bytes, forward, backward_data, nullptr};

}  // namespace ito::kernels::conv2d
