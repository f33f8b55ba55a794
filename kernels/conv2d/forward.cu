#include "kernels/conv2d/own_passes.h"
#include "kernels/conv2d/tile_shapes.cuh"

namespace ito::kernels {
namespace conv2d {

template <class T>
void run_forward(CudaStream& stream, const Conv2dDims& d, const ConvForward& o, const T* w) {
  const T *const x = o.x.as<T>(), *const x2 = o.x2.as<T>();
  const ConvEpilogue& e = o.epilogue;
  const bool packs = are_whole_packs<kPackWidth<T>>({d.c1, d.c2}) && are_aligned({x, x2, w});
  const bool packs_y = are_whole_packs<kPackWidth<T>>({d.k}) &&
                       are_aligned({o.y.data, e.bias.data, e.shift.data, e.residual.data});
  const Im2colRows<T> a{input_im2col(d, x, x2)};
  const Matrix<T, true> b{w, d.k, a.im2col.entries};
  const ForwardOutput<T> output{.y = o.y.as<T>(),
                                .bias = e.bias.as<float>(),
                                .shift = e.shift.as<T>(),
                                .residual = e.residual.as<T>(),
                                .rows = a.im2col.pixels,
                                .columns = d.k,
                                .packs = packs_y,
                                .per_image = a.im2col.per_image};
  multiply_pixels<T>(stream, a, b, output, a.im2col.entries, packs);
}

}  // namespace conv2d

void conv2d::own_forward(CudaStream& stream, const Conv2dDims& d, const ConvForward& o) {
  check_cuda_shape(d, o.x.dtype);
  std::byte* const scratch =
      check_workspace(d, own_workspace_bytes(d, o.x.dtype, ConvPass::forward), o.workspace);
  check_sources(d, bool(o.x2));
  check_dtypes({o.x, o.x2, o.y, o.epilogue.shift, o.epilogue.residual});
  visit_cuda("conv2d", o.x.dtype, [&](auto type) {
    using T = decltype(type);
    run_forward<T>(stream, d, o, filters_as<T>(stream, d, o.w, scratch));
  });
}

}  // namespace ito::kernels
