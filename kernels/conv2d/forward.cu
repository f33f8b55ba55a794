#include "kernels/conv2d/own_passes.h"
#include "kernels/conv2d/tile_shapes.cuh"

namespace ito::kernels {
namespace conv2d {

template <class T>
void run_forward(CudaStream& stream, const Conv2dDims& d, const T* x, const T* x2, const T* w,
                 const ConvEpilogue& e, T* y) {
  const bool wide = are_wide<T>({d.c1, d.c2}) && are_aligned({x, x2, w});
  const bool wide_y = are_wide<T>({d.k}) && are_aligned({y, e.bias.data, e.shift.data, e.residual.data});
  const Im2colRows<T> a{input_im2col(d, x, x2)};
  const Matrix<T, true> b{w, d.k, a.im2col.entries};
  const ForwardOutput<T> output{.y = y,
                                .bias = e.bias.as<float>(),
                                .shift = e.shift.as<T>(),
                                .residual = e.residual.as<T>(),
                                .rows = a.im2col.pixels,
                                .columns = d.k,
                                .wide = wide_y,
                                .per_image = a.im2col.per_image};
  multiply_pixels<T>(stream, a, b, output, a.im2col.entries, wide);
}

}  // namespace conv2d

void conv2d::own_forward(CudaStream& stream, const Conv2dDims& d, In x, In x2, In w, const ConvEpilogue& e,
                         Out y, Out workspace) {
  using namespace conv2d;
  check_cuda_shape(d, x.dtype);
  std::byte* const scratch =
      check_workspace(d, own_workspace_bytes(d, x.dtype, ConvPass::forward), workspace);
  check_sources(d, bool(x2));
  check_dtypes({x, x2, y, e.shift, e.residual});
  const auto run = [&](auto type) {
    using T = decltype(type);
    run_forward<T>(stream, d, x.as<T>(), x2.as<T>(), filters_as<T>(stream, d, w, scratch), e, y.as<T>());
  };
  x.dtype == DType::bf16 ? run(bf16{}) : run(float{});
}

}  // namespace ito::kernels
