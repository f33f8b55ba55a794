// Convolution as its formula says, in f64: what every other implementation is checked against.
#include "kernels/conv2d/algorithms.h"

namespace ito::kernels::conv2d {
namespace {

/// Row and column of the output that input (h, w) meets under filter tap (r, s), or false.
struct Tap {
  int p, q;
  bool valid;
};

Tap output_of(const Conv2dDims& d, int h, int w, int r, int s) {
  const int y = h + d.pad_top - r, x = w + d.pad_left - s;
  const bool on_grid = y >= 0 && x >= 0 && y % d.stride == 0 && x % d.stride == 0;
  const int p = y / d.stride, q = x / d.stride;
  return {p, q, on_grid && p < d.out_h() && q < d.out_w()};
}

/// The c channels of one input pixel as two runs: x's c1, then x2's c2.
template <class F>
void for_channels(const Conv2dDims& d, const double* x, const double* x2, size_t pixel, F&& f) {
  for (int c = 0; c < d.c1; ++c) f(c, x[pixel * d.c1 + c]);
  for (int c = 0; c < d.c2; ++c) f(d.c1 + c, x2[pixel * d.c2 + c]);
}

double forward_at(const Conv2dDims& d, const Forward<double>& a, int n, int p, int q, int k) {
  double sum = a.bias ? a.bias[k] : 0;
  for (int r = 0; r < d.r; ++r) {
    for (int s = 0; s < d.s; ++s) {
      const int h = p * d.stride + r - d.pad_top, w = q * d.stride + s - d.pad_left;
      if (h < 0 || h >= d.h || w < 0 || w >= d.w) continue;
      const double* filter = a.w + ((size_t(k) * d.r + r) * d.s + s) * d.c();
      const size_t pixel = (size_t(n) * d.h + h) * d.w + w;
      for_channels(d, a.x, a.x2, pixel, [&](int c, double value) { sum += value * filter[c]; });
    }
  }
  return sum;
}

double backward_data_at(const Conv2dDims& d, const BackwardData<double>& a, int n, int h, int w, int c) {
  double sum = 0;
  for (int r = 0; r < d.r; ++r) {
    for (int s = 0; s < d.s; ++s) {
      const Tap t = output_of(d, h, w, r, s);
      if (!t.valid) continue;
      const double* dy = a.dy + ((size_t(n) * d.out_h() + t.p) * d.out_w() + t.q) * d.k;
      for (int k = 0; k < d.k; ++k) sum += dy[k] * a.w[((size_t(k) * d.r + r) * d.s + s) * d.c() + c];
    }
  }
  return sum;
}

/// dw[k, r, s, :], which the caller has zeroed.
void backward_filter(const Conv2dDims& d, const BackwardWeights<double>& a, int k, int r, int s, double* dw) {
  for (int n = 0; n < d.n; ++n) {
    for (int p = 0; p < d.out_h(); ++p) {
      for (int q = 0; q < d.out_w(); ++q) {
        const int h = p * d.stride + r - d.pad_top, w = q * d.stride + s - d.pad_left;
        if (h < 0 || h >= d.h || w < 0 || w >= d.w) continue;
        const double dy = a.dy[((size_t(n) * d.out_h() + p) * d.out_w() + q) * d.k + k];
        const size_t pixel = (size_t(n) * d.h + h) * d.w + w;
        for_channels(d, a.x, a.x2, pixel, [&](int c, double value) { dw[c] += dy * value; });
      }
    }
  }
}

}  // namespace

void reference_forward(CpuStream& stream, const Conv2dDims& d, const Forward<double>& a) {
  const int rows = d.n * d.out_h();
#pragma omp parallel for num_threads(stream.threads())
  for (int row = 0; row < rows; ++row) {
    for (int q = 0; q < d.out_w(); ++q) {
      double* y = a.y + (size_t(row) * d.out_w() + q) * d.k;
      for (int k = 0; k < d.k; ++k) y[k] = forward_at(d, a, row / d.out_h(), row % d.out_h(), q, k);
    }
  }
}

void reference_backward_data(CpuStream& stream, const Conv2dDims& d, const BackwardData<double>& a) {
  const int rows = d.n * d.h;
#pragma omp parallel for num_threads(stream.threads())
  for (int row = 0; row < rows; ++row) {
    for (int w = 0; w < d.w; ++w) {
      const size_t pixel = size_t(row) * d.w + w;
      for (int c = 0; c < d.c(); ++c) {
        double* dx = c < d.c1 ? a.dx : a.dx2;
        if (!dx) continue;
        double& out = c < d.c1 ? dx[pixel * d.c1 + c] : dx[pixel * d.c2 + (c - d.c1)];
        out = backward_data_at(d, a, row / d.h, row % d.h, w, c);
      }
    }
  }
}

void reference_backward_weights(CpuStream& stream, const Conv2dDims& d, const BackwardWeights<double>& a) {
  const int taps = d.r * d.s;
  const size_t pixels = size_t(d.n) * d.out_h() * d.out_w();
#pragma omp parallel for num_threads(stream.threads())
  for (int i = 0; i < d.k * taps; ++i) {
    double* dw = a.dw + size_t(i) * d.c();
    for (int c = 0; c < d.c(); ++c) dw[c] = 0;
    backward_filter(d, a, i / taps, i % taps / d.s, i % d.s, dw);
  }
  if (!a.dbias) return;
  for (int k = 0; k < d.k; ++k) {
    double sum = 0;
    for (size_t i = 0; i < pixels; ++i) sum += a.dy[i * d.k + k];
    a.dbias[k] = sum;
  }
}

}  // namespace ito::kernels::conv2d
