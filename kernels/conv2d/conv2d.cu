#include <algorithm>

#include "kernels/conv2d.h"
#include "kernels/conv2d/backward_weights.h"
#include "kernels/conv2d/choice.cuh"

namespace ito::kernels {

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
  return 0;
}

const char* conv2d_algorithm(CudaStream&, const Conv2dDims& d, DType dtype, ConvPass) {
  conv2d::check_cuda_shape(d, dtype);
  return "implicit gemm, fused multiply-add";
}

}  // namespace ito::kernels
