#include <algorithm>

#include "kernels/base/math.h"
#include "kernels/conv2d/own_passes.h"
#include "kernels/conv2d/tile_shapes.cuh"

namespace ito::kernels {
namespace conv2d {

/// Along one dimension, what one class of dx's pixels sees: those at first + i * stride, i < count. Tap t of
/// the class is the filter's first_tap + t * stride, and pixel i meets it at dy's i + first_seen - t.
struct PixelClass {
  int first, count, first_tap, taps, first_seen;

  PixelClass(int first, int size, int filter, int stride, int padding) : first(first) {
    count = first < size ? div_up(size - first, stride) : 0;
    first_tap = (first + padding) % stride;
    taps = first_tap < filter ? div_up(filter - first_tap, stride) : 0;
    first_seen = (first + padding - first_tap) / stride;
  }
};

/// The product for one class. With stride 1 it is the only one; else the classes differ in their taps, and
/// none of them multiplies by zeros that the stride has put between.
template <class T>
void run_class(CudaStream& stream, const Conv2dDims& d, const PixelClass& y, const PixelClass& x, const T* dy,
               const T* w, T* dx, T* dx2) {
  if (y.count == 0 || x.count == 0) return;
  const int first_channel = dx ? 0 : d.c1, channels = (dx ? d.c1 : 0) + (dx2 ? d.c2 : 0);
  const int taps = y.taps * x.taps, pixels = y.count * x.count;
  const FastDivmod per_image(pixels), per_row(x.count), per_tap(d.k), taps_x(std::max(x.taps, 1));
  const Im2colRows<T> a{{.x = dy,
                         .x2 = nullptr,
                         .c1 = d.k,
                         .c2 = 0,
                         .height = d.out_h(),
                         .width = d.out_w(),
                         .step = 1,
                         .first_y = y.first_seen,
                         .first_x = x.first_seen,
                         .direction = -1,
                         .pixels = d.n * pixels,
                         .entries = taps * d.k,
                         .per_image = per_image,
                         .per_row = per_row,
                         .per_tap = per_tap,
                         .taps_x = taps_x}};
  const FilterColumns<T> b{.w = w + first_channel,
                           .lines = channels,
                           .depths = taps * d.k,
                           .c = d.c(),
                           .rs = d.r * d.s,
                           .s = d.s,
                           .stride = d.stride,
                           .first_tap = y.first_tap * d.s + x.first_tap,
                           .per_tap = per_tap,
                           .taps_x = taps_x};
  const bool packs = are_whole_packs<kPackWidth<T>>({d.k, d.c1, d.c2}) && are_aligned({dy, w});
  const bool packs_dx = are_whole_packs<kPackWidth<T>>({d.c1, d.c2}) && are_aligned({dx, dx2});
  const DataOutput<T> output{.dx = dx,
                             .dx2 = dx2,
                             .c1 = d.c1,
                             .c2 = d.c2,
                             .first_channel = first_channel,
                             .height = d.h,
                             .width = d.w,
                             .stride = d.stride,
                             .first_y = y.first,
                             .first_x = x.first,
                             .rows = d.n * pixels,
                             .columns = channels,
                             .packs = packs_dx,
                             .per_image = per_image,
                             .per_row = per_row};
  multiply_pixels<T>(stream, a, b, output, taps * d.k, packs);
}

template <class T>
void run_backward_data(CudaStream& stream, const Conv2dDims& d, const T* dy, const T* w, T* dx, T* dx2) {
  for (int y = 0; y < d.stride; ++y)
    for (int x = 0; x < d.stride; ++x)
      run_class(stream, d, PixelClass(y, d.h, d.r, d.stride, d.pad_top),
                PixelClass(x, d.w, d.s, d.stride, d.pad_left), dy, w, dx, dx2);
}

}  // namespace conv2d

void conv2d::own_backward_data(CudaStream& stream, const Conv2dDims& d, const ConvBackwardData& o) {
  check_cuda_shape(d, o.dy.dtype);
  std::byte* const scratch =
      check_workspace(d, own_workspace_bytes(d, o.dy.dtype, ConvPass::backward_data), o.workspace);
  if (o.dx2) check_sources(d, true);
  if (!o.dx && !o.dx2) return;
  check_dtypes({o.dy, o.dx, o.dx2});
  visit_cuda("conv2d", o.dy.dtype, [&](auto type) {
    using T = decltype(type);
    run_backward_data<T>(stream, d, o.dy.as<T>(), filters_as<T>(stream, d, o.w, scratch), o.dx.as<T>(),
                         o.dx2.as<T>());
  });
}

}  // namespace ito::kernels
