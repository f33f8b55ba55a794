#include <set>
#include <tuple>

#include "kernels/base/math.h"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/library_calls.h"

/// cuDNN and cuBLASLt on the emulator: plain loops, one thread per result.
namespace ito::kernels {
namespace cuda_library {

inline constexpr int kReferenceThreads = 32;

inline LaunchConfig reference_config(int64_t results) {
  LaunchConfig config;
  config.grid = dim3(unsigned(div_up(results, kReferenceThreads)));
  config.block = dim3(kReferenceThreads);
  return config;
}

/// The places that a pixel of x, a pixel of y and an element of the filter take part together in.
template <class Use>
__device__ void each_contribution(const Conv2dDims& d, int n, int p, int q, int r, int s, Use use) {
  const int h = p * d.stride + r - d.pad_top, w = q * d.stride + s - d.pad_left;
  if (h < 0 || h >= d.h || w < 0 || w >= d.w) return;
  use((int64_t(n) * d.h + h) * d.w + w, (int64_t(n) * d.out_h() + p) * d.out_w() + q, r * d.s + s);
}

/// All three passes: the sum over every contribution to result i.
template <class T>
__global__ void reference_convolution_kernel(Conv2dDims d, ConvPass pass, ConvolutionOperands o,
                                             int64_t results) {
  const int64_t i = int64_t(blockIdx.x) * kReferenceThreads + threadIdx.x;
  if (i >= results) return;
  const T *const a = static_cast<const T*>(o.a), *const b = static_cast<const T*>(o.b);
  const int c = d.c1, taps = d.r * d.s;
  float sum = 0;
  for (int n = 0; n < d.n; ++n)
    for (int p = 0; p < d.out_h(); ++p)
      for (int q = 0; q < d.out_w(); ++q)
        for (int r = 0; r < d.r; ++r)
          for (int s = 0; s < d.s; ++s)
            each_contribution(d, n, p, q, r, s, [&](int64_t x, int64_t y, int tap) {
              if (pass == ConvPass::forward && y == i / d.k)
                for (int e = 0; e < c; ++e)
                  sum += float(a[x * c + e]) * float(b[(i % d.k * taps + tap) * c + e]);
              if (pass == ConvPass::backward_data && x == i / c)
                for (int k = 0; k < d.k; ++k)
                  sum += float(a[y * d.k + k]) * float(b[(int64_t(k) * taps + tap) * c + i % c]);
              if (pass == ConvPass::backward_weights && tap == i / c % taps)
                sum += float(a[y * d.k + i / c / taps]) * float(b[x * c + i % c]);
            });
  static_cast<T*>(o.result)[i] = T(sum);
}

/// What a stream has asked about. Like cuDNN, no convolution gets ready while a step is captured.
struct Prepared {
  using Key = std::tuple<int, int, int, int, int, int, int, int, int, int, DType, ConvPass>;
  std::set<Key> shapes;
};

/// Whether it is ready; it becomes so where nothing is captured.
bool prepare(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  auto& shapes = stream.state<Prepared>().shapes;
  const Prepared::Key key{d.n, d.h, d.w, d.c1, d.k, d.r, d.s, d.stride, d.pad_top, d.pad_left, dtype, pass};
  if (!stream.capturing()) shapes.insert(key);
  return shapes.count(key) > 0;
}

bool convolution_supported(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  return prepare(stream, d, dtype, pass);
}
/// The last one refuses when it is run, as may happen with the library.
int convolution_algorithms(CudaStream&, const Conv2dDims&, DType, ConvPass) { return 3; }
size_t convolution_workspace_bytes(CudaStream&, const Conv2dDims&, DType, ConvPass, int) { return 0; }

void convolve(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass, int algorithm,
              const ConvolutionOperands& o) {
  if (!prepare(stream, d, dtype, pass)) fail("a convolution would get ready while a step is captured");
  if (algorithm == 2) fail("the convolution's last algorithm refuses");
  const int64_t results = pass == ConvPass::forward         ? int64_t(d.n) * d.out_h() * d.out_w() * d.k
                          : pass == ConvPass::backward_data ? int64_t(d.n) * d.h * d.w * d.c1
                                                            : int64_t(d.k) * d.r * d.s * d.c1;
  launch(dtype == DType::bf16 ? reference_convolution_kernel<bf16> : reference_convolution_kernel<float>,
         reference_config(results), stream, d, pass, o, results);
}

template <class T, class To>
__global__ void reference_product_kernel(Product p) {
  const int64_t i = int64_t(blockIdx.x) * kReferenceThreads + threadIdx.x;
  if (i >= int64_t(p.rows) * p.columns) return;
  const int row = int(i / p.columns), column = int(i % p.columns);
  float sum = 0;
  for (int k = 0; k < p.depth; ++k) {
    const int64_t at_a = p.a_transposed ? int64_t(k) * p.rows + row : int64_t(row) * p.depth + k;
    const int64_t at_b = p.b_transposed ? int64_t(column) * p.depth + k : int64_t(k) * p.columns + column;
    sum += float(p.a.as<T>()[at_a]) * float(p.b.as<T>()[at_b]);
  }
  p.c.as<To>()[i] = To(sum);
}

int products_made = 0;  // for test_cuda_library.cpp

void multiply(CudaStream& stream, const Product& p, void*) {
  ++products_made;
  const auto kernel = p.a.dtype == DType::f32   ? reference_product_kernel<float, float>
                      : p.c.dtype == DType::f32 ? reference_product_kernel<bf16, float>
                                                : reference_product_kernel<bf16, bf16>;
  launch(kernel, reference_config(int64_t(p.rows) * p.columns), stream, p);
}

}  // namespace cuda_library

bool cudnn_available() { return true; }
bool cublaslt_available() { return true; }

}  // namespace ito::kernels
