#include <algorithm>

#include "kernels/conv2d.h"
#include "kernels/conv2d/backward_weights.h"
#include "kernels/conv2d/choice.cuh"

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
  config.grid = dim3(unsigned(tiles_of(count, kRoundThreads * 4)));
  config.block = dim3(kRoundThreads);
  launch(round_filters_kernel, config, stream, count, w.as<float>(), rounded);
  return rounded;
}

}  // namespace conv2d

void conv2d::check_cuda_shape(const Conv2dDims& d, DType dtype) {
  check(d);
  if (dtype == DType::f64) fail("conv2d: f64 exists on the CPU only; on CUDA use f32 or bf16");
  const int64_t x = int64_t(d.n) * d.h * d.w, y = int64_t(d.n) * d.out_h() * d.out_w();
  const int64_t entries = int64_t(d.r) * d.s * std::max(d.c(), d.k);
  constexpr int64_t kMost = 1 << 30;
  if (std::max({x, y, entries}) > kMost)
    fail(cat("conv2d: more than 2^30 pixels or filter entries: split the batch of ", shape_of(d)));
}

size_t conv2d_workspace_bytes(CudaStream&, const Conv2dDims& d, DType dtype, ConvPass pass) {
  using namespace conv2d;
  check_cuda_shape(d, dtype);
  if (pass == ConvPass::backward_weights) return WeightWorkspace(d, WeightParts(d), nullptr).bytes;
  return dtype == DType::bf16 ? rounded_bytes(d) : 0;
}

const char* conv2d_algorithm(CudaStream&, const Conv2dDims& d, DType dtype, ConvPass) {
  conv2d::check_cuda_shape(d, dtype);
  return dtype == DType::bf16 ? "implicit gemm, mma.sync" : "implicit gemm, fused multiply-add";
}

}  // namespace ito::kernels
