#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/library_calls.h"
#include "kernels/cuda_library/movement.h"
#include "kernels/cuda_library/workspace.h"

/// Around cuDNN's convolutions: two sources become one, weights get the activations' dtype, and what our own
/// kernels do in passing follows in a kernel of its own.
namespace ito::kernels {
namespace cuda_library {

Conv2dDims one_source(Conv2dDims d) {
  d.c1 = d.c(), d.c2 = 0;
  return d;
}
int64_t input_pixels(const Conv2dDims& d) { return int64_t(d.n) * d.h * d.w; }
int64_t output_pixels(const Conv2dDims& d) { return int64_t(d.n) * d.out_h() * d.out_w(); }
int filter_size(const Conv2dDims& d) { return d.r * d.s * d.c(); }

/// The pieces of a pass's workspace.
struct CudnnWorkspace {
  void *library, *source, *weights, *sums;
  size_t bytes;

  CudnnWorkspace(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass, int algorithm,
                 void* memory = nullptr) {
    const size_t size = size_of(dtype);
    Carver workspace(memory, kWorkspaceAlign);
    library =
        workspace.take<std::byte>(convolution_workspace_bytes(stream, one_source(d), dtype, pass, algorithm));
    source = workspace.take<std::byte>(d.c2 > 0 ? size * size_t(input_pixels(d)) * size_t(d.c()) : 0);
    weights =
        workspace.take<std::byte>(dtype == DType::f32 ? 0 : size * size_t(d.k) * size_t(filter_size(d)));
    sums = workspace.take<std::byte>(
        pass == ConvPass::backward_weights ? column_sums_bytes(output_pixels(d), d.k) : 0);
    bytes = workspace.used();
  }
};

/// x and x2 side by side: [N,H,W,C].
const void* join(CudaStream& stream, const Conv2dDims& d, In x, In x2, void* source) {
  if (d.c2 == 0) return x.data;
  const Out left{source, x.dtype}, right{static_cast<std::byte*>(source) + size_of(x.dtype) * d.c1, x.dtype};
  copy_columns(stream, input_pixels(d), d.c1, x, d.c1, left, d.c());
  copy_columns(stream, input_pixels(d), d.c2, x2, d.c2, right, d.c());
  return source;
}

const void* rounded_weights(CudaStream& stream, const Conv2dDims& d, In w, DType dtype, void* memory) {
  if (w.dtype == dtype) return w.data;
  copy_columns(stream, d.k, filter_size(d), w, filter_size(d), {memory, dtype}, filter_size(d));
  return memory;
}

}  // namespace cuda_library

using namespace cuda_library;

bool cudnn_supports(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  const bool even = d.pad_top == d.pad_bottom && d.pad_left == d.pad_right;
  return even && dtype != DType::f64 && cudnn_available() &&
         convolution_supported(stream, one_source(d), dtype, pass);
}

int cudnn_algorithms(CudaStream& stream, const Conv2dDims& d, DType dtype, ConvPass pass) {
  return cudnn_supports(stream, d, dtype, pass) ? convolution_algorithms(stream, one_source(d), dtype, pass)
                                                : 0;
}

size_t cudnn_workspace_bytes(CudaStream& stream, const ConvPolicy& policy, const Conv2dDims& d, DType dtype,
                             ConvPass pass) {
  check_cuda_dtype("cudnn", dtype);
  return CudnnWorkspace(stream, d, dtype, pass, policy.comparison.cudnn_algorithm).bytes;
}

void cudnn_forward(CudaStream& stream, const ConvPolicy& policy, const Conv2dDims& d, const ConvForward& o) {
  check_cuda_dtype("cudnn", o.x.dtype);
  const int algorithm = policy.comparison.cudnn_algorithm;
  const CudnnWorkspace pieces(stream, d, o.x.dtype, ConvPass::forward, algorithm, o.workspace.data);
  convolve(stream, one_source(d), o.x.dtype, ConvPass::forward, algorithm,
           {.a = join(stream, d, o.x, o.x2, pieces.source),
            .b = rounded_weights(stream, d, o.w, o.x.dtype, pieces.weights),
            .result = o.y.data,
            .workspace = pieces.library});
  if (!o.epilogue) return;
  const Epilogue epilogue{.bias = o.epilogue.bias,
                          .shift = o.epilogue.shift,
                          .residual = o.epilogue.residual,
                          .rows_per_shift = d.out_h() * d.out_w()};
  finish(stream, output_pixels(d), d.k, o.y, epilogue, o.y);
}

void cudnn_backward_data(CudaStream& stream, const ConvPolicy& policy, const Conv2dDims& d,
                         const ConvBackwardData& o) {
  const DType dtype = o.dy.dtype;
  check_cuda_dtype("cudnn", dtype);
  const int algorithm = policy.comparison.cudnn_algorithm;
  const CudnnWorkspace pieces(stream, d, dtype, ConvPass::backward_data, algorithm, o.workspace.data);
  void* const whole = d.c2 > 0 ? pieces.source : o.dx.data;
  convolve(stream, one_source(d), dtype, ConvPass::backward_data, algorithm,
           {.a = o.dy.data,
            .b = rounded_weights(stream, d, o.w, dtype, pieces.weights),
            .result = whole,
            .workspace = pieces.library});
  if (d.c2 == 0) return;
  const In left{whole, dtype}, right{static_cast<std::byte*>(whole) + size_of(dtype) * d.c1, dtype};
  if (o.dx) copy_columns(stream, input_pixels(d), d.c1, left, d.c(), o.dx, d.c1);
  if (o.dx2) copy_columns(stream, input_pixels(d), d.c2, right, d.c(), o.dx2, d.c2);
}

void cudnn_backward_weights(CudaStream& stream, const ConvPolicy& policy, const Conv2dDims& d,
                            const ConvBackwardWeights& o) {
  const DType dtype = o.x.dtype;
  check_cuda_dtype("cudnn", dtype);
  const int algorithm = policy.comparison.cudnn_algorithm;
  const CudnnWorkspace pieces(stream, d, dtype, ConvPass::backward_weights, algorithm, o.workspace.data);
  void* const narrow_dw = dtype == DType::f32 ? o.dw.data : pieces.weights;
  convolve(stream, one_source(d), dtype, ConvPass::backward_weights, algorithm,
           {.a = o.dy.data,
            .b = join(stream, d, o.x, o.x2, pieces.source),
            .result = narrow_dw,
            .workspace = pieces.library});
  if (narrow_dw != o.dw.data)
    copy_columns(stream, d.k, filter_size(d), {narrow_dw, dtype}, filter_size(d), o.dw, filter_size(d));
  if (o.dbias) column_sums(stream, output_pixels(d), d.k, o.dy, o.dbias.as<float>(), pieces.sums);
}

}  // namespace ito::kernels
