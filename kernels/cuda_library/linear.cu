#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/library_calls.h"
#include "kernels/cuda_library/movement.h"
#include "kernels/cuda_library/workspace.h"

/// Around cuBLASLt's products: weights get the activations' dtype; an epilogue is added to f32 sums.
namespace ito::kernels {
namespace cuda_library {

/// The pieces of a pass's workspace.
struct LinearScratch {
  void *product, *weights, *sums;
  size_t bytes;

  LinearScratch(const LinearDims& d, DType dtype, ConvPass pass, void* memory = nullptr) {
    const bool narrow = dtype != DType::f32;
    Carver workspace(memory, kWorkspaceAlign);
    product = workspace.take<std::byte>(kProductWorkspaceBytes);
    weights = workspace.take<std::byte>(
        narrow && pass != ConvPass::backward_weights ? size_of(dtype) * size_t(d.in) * size_t(d.out) : 0);
    sums = workspace.take<std::byte>(pass == ConvPass::backward_weights ? column_sums_bytes(d.m, d.out)
                                     : narrow && pass == ConvPass::forward
                                         ? sizeof(float) * size_t(d.m) * size_t(d.out)
                                         : 0);
    bytes = workspace.used();
  }
};

In rounded_weights(CudaStream& stream, const LinearDims& d, In w, DType dtype, void* memory) {
  if (w.dtype == dtype) return w;
  copy_columns(stream, d.out, d.in, w, d.in, {memory, dtype}, d.in);
  return {memory, dtype};
}

}  // namespace cuda_library

using namespace cuda_library;

size_t cublaslt_workspace_bytes(const LinearDims& d, DType dtype, ConvPass pass) {
  check_cuda_dtype("cublaslt", dtype);
  return LinearScratch(d, dtype, pass).bytes;
}

void cublaslt_forward(CudaStream& stream, const LinearDims& d, const LinearForward& o) {
  const DType dtype = o.x.dtype;
  check_cuda_dtype("cublaslt", dtype);
  const LinearScratch scratch(d, dtype, ConvPass::forward, o.workspace.data);
  const bool more = o.bias || o.residual;
  const Out sums = more && dtype != DType::f32 ? Out{scratch.sums, DType::f32} : o.y;
  multiply(stream,
           {.rows = d.m,
            .columns = d.out,
            .depth = d.in,
            .b_transposed = true,
            .a = o.x,
            .b = rounded_weights(stream, d, o.w, dtype, scratch.weights),
            .c = sums},
           scratch.product);
  if (more) finish(stream, d.m, d.out, sums, {.bias = o.bias, .residual = o.residual}, o.y);
}

void cublaslt_backward_data(CudaStream& stream, const LinearDims& d, const LinearBackwardData& o) {
  const DType dtype = o.dy.dtype;
  check_cuda_dtype("cublaslt", dtype);
  const LinearScratch scratch(d, dtype, ConvPass::backward_data, o.workspace.data);
  multiply(stream,
           {.rows = d.m,
            .columns = d.in,
            .depth = d.out,
            .a = o.dy,
            .b = rounded_weights(stream, d, o.w, dtype, scratch.weights),
            .c = o.dx},
           scratch.product);
}

void cublaslt_backward_weights(CudaStream& stream, const LinearDims& d, const LinearBackwardWeights& o) {
  check_cuda_dtype("cublaslt", o.x.dtype);
  const LinearScratch scratch(d, o.x.dtype, ConvPass::backward_weights, o.workspace.data);
  multiply(
      stream,
      {.rows = d.out, .columns = d.in, .depth = d.m, .a_transposed = true, .a = o.dy, .b = o.x, .c = o.dw},
      scratch.product);
  if (o.dbias) column_sums(stream, d.m, d.out, o.dy, o.dbias.as<float>(), scratch.sums);
}

}  // namespace ito::kernels
