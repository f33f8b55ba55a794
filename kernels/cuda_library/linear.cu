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

  LinearScratch(int m, int in, int out, DType dtype, ConvPass pass, void* memory = nullptr) {
    const bool narrow = dtype != DType::f32;
    Carver workspace(memory, kWorkspaceAlign);
    product = workspace.take<std::byte>(kProductWorkspaceBytes);
    weights = workspace.take<std::byte>(
        narrow && pass != ConvPass::backward_weights ? size_of(dtype) * size_t(in) * size_t(out) : 0);
    sums = workspace.take<std::byte>(pass == ConvPass::backward_weights ? column_sums_bytes(m, out)
                                     : narrow && pass == ConvPass::forward
                                         ? sizeof(float) * size_t(m) * size_t(out)
                                         : 0);
    bytes = workspace.used();
  }
};

In rounded_weights(CudaStream& stream, int in, int out, In w, DType dtype, void* memory) {
  if (w.dtype == dtype) return w;
  copy_columns(stream, out, in, w, in, {memory, dtype}, in);
  return {memory, dtype};
}

}  // namespace cuda_library

using namespace cuda_library;

size_t cublaslt_workspace_bytes(int m, int in, int out, DType dtype, ConvPass pass) {
  check_dtype("cublaslt", dtype);
  return LinearScratch(m, in, out, dtype, pass).bytes;
}

void cublaslt_forward(CudaStream& stream, int m, int in, int out, In x, In w, In bias, In residual, Out y,
                      Out workspace) {
  check_dtype("cublaslt", x.dtype);
  const LinearScratch scratch(m, in, out, x.dtype, ConvPass::forward, workspace.data);
  const In weights = rounded_weights(stream, in, out, w, x.dtype, scratch.weights);
  const bool more = bias || residual;
  const Out sums = more && x.dtype != DType::f32 ? Out{scratch.sums, DType::f32} : y;
  multiply(stream, {m, out, in, false, true, x, weights, sums}, scratch.product);
  if (more) finish(stream, m, out, sums, {bias, {}, residual}, y);
}

void cublaslt_backward_data(CudaStream& stream, int m, int in, int out, In dy, In w, Out dx, Out workspace) {
  check_dtype("cublaslt", dy.dtype);
  const LinearScratch scratch(m, in, out, dy.dtype, ConvPass::backward_data, workspace.data);
  const In weights = rounded_weights(stream, in, out, w, dy.dtype, scratch.weights);
  multiply(stream, {m, in, out, false, false, dy, weights, dx}, scratch.product);
}

void cublaslt_backward_weights(CudaStream& stream, int m, int in, int out, In dy, In x, Out dw, Out dbias,
                               Out workspace) {
  check_dtype("cublaslt", x.dtype);
  const LinearScratch scratch(m, in, out, x.dtype, ConvPass::backward_weights, workspace.data);
  multiply(stream, {out, in, m, true, false, dy, x, dw}, scratch.product);
  if (dbias) column_sums(stream, m, out, dy, dbias.as<float>(), scratch.sums);
}

}  // namespace ito::kernels
