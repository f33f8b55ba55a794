// What kernels/conv2d.h declares for CUDA: checks, workspaces, and our kernels or cuDNN.
#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/conv2d.h"
#include "kernels/conv2d/backward_weights.h"
#include "kernels/conv2d/own_passes.h"
#include "kernels/conv2d/tile_shapes.cuh"
#include "kernels/cuda_library.h"

namespace ito::kernels {

namespace conv2d {

inline constexpr int kRoundThreads = 256;

/// Four values a thread; 4 bytes read and 2 written for each.
__global__ void __launch_bounds__(kRoundThreads)
    round_filters_kernel(int64_t count, const float* from, bf16* to) {
  const int64_t first = (int64_t(blockIdx.x) * kRoundThreads + threadIdx.x) * 4;
  for (int64_t i = first; i < count && i < first + 4; ++i) to[i] = narrow<bf16>(from[i]);
}

template <>
const float* filters_as(CudaStream&, const Conv2dDims&, In w, std::byte*) {
  return w.as<float>();
}

template <>
const bf16* filters_as(CudaStream& stream, const Conv2dDims& d, In w, std::byte* scratch) {
  if (w.dtype == DType::bf16) return w.as<bf16>();
  const int64_t count = int64_t(d.k) * d.r * d.s * d.c();
  bf16* const rounded = reinterpret_cast<bf16*>(scratch);
  LaunchConfig config;
  config.grid = dim3(unsigned(div_up(count, kRoundThreads * 4)));
  config.block = dim3(kRoundThreads);
  launch(round_filters_kernel, config, stream, count, w.as<float>(), rounded);
  return rounded;
}

}  // namespace conv2d

void conv2d::check_cuda_shape(const Conv2dDims& d, DType dtype) {
  check_dims(d);
  check_cuda_dtype("conv2d", dtype);
  const int64_t x = int64_t(d.n) * d.h * d.w, y = int64_t(d.n) * d.out_h() * d.out_w();
  const int64_t entries = int64_t(d.r) * d.s * std::max(d.c(), d.k);
  constexpr int64_t kMost = 1 << 30;
  if (std::max({x, y, entries}) > kMost)
    fail(cat("conv2d: more than 2^30 pixels or filter entries: split the batch of ", shape_of(d)));
}

size_t conv2d::own_workspace_bytes(const Conv2dDims& d, DType dtype, ConvPass pass) {
  check_cuda_shape(d, dtype);
  if (pass == ConvPass::backward_weights) return WeightWorkspace(d, WeightParts(d, dtype), nullptr).bytes;
  return dtype == DType::bf16 ? rounded_bytes(d) : 0;
}

size_t conv2d_workspace_bytes(CudaStream& stream, const ConvPolicy& policy, const Conv2dDims& d, DType dtype,
                              ConvPass pass) {
  return convolution_workspace_bytes(stream, policy, d, dtype, pass,
                                     conv2d::own_workspace_bytes(d, dtype, pass));
}

void conv2d_forward(CudaStream& stream, ConvPolicy& policy, const Conv2dDims& d, const ConvForward& o) {
  const auto run = [&](Provider provider) {
    provider == Provider::library ? cudnn_forward(stream, policy, d, o) : conv2d::own_forward(stream, d, o);
  };
  run(convolution_provider(stream, policy, d, o.x.dtype, ConvPass::forward, run));
}

void conv2d_backward_data(CudaStream& stream, ConvPolicy& policy, const Conv2dDims& d,
                          const ConvBackwardData& o) {
  const auto run = [&](Provider provider) {
    provider == Provider::library ? cudnn_backward_data(stream, policy, d, o)
                                  : conv2d::own_backward_data(stream, d, o);
  };
  run(convolution_provider(stream, policy, d, o.dy.dtype, ConvPass::backward_data, run));
}

void conv2d_backward_weights(CudaStream& stream, ConvPolicy& policy, const Conv2dDims& d,
                             const ConvBackwardWeights& o) {
  const auto run = [&](Provider provider) {
    provider == Provider::library ? cudnn_backward_weights(stream, policy, d, o)
                                  : conv2d::own_backward_weights(stream, d, o);
  };
  run(convolution_provider(stream, policy, d, o.x.dtype, ConvPass::backward_weights, run));
}

}  // namespace ito::kernels
