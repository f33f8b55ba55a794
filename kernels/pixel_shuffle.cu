#include "kernels/cuda_map.cuh"
#include "kernels/pixel_shuffle.h"

// Each element is read once and written once, 4 bytes in bf16, at the ends of a network only, where images have three
// channels: a thread an element, neighbouring ones in the small image.
namespace ito::kernels {

template <class T>
__global__ void __launch_bounds__(kMapThreads)
    pixel_unshuffle_kernel(PixelShuffleDims d, const T* large, T* small) {
  const int image = d.h * d.w * d.p * d.p * d.c, e = int(first_element(1));
  const int64_t start = int64_t(blockIdx.y) * image;
  if (first_element(1) < image) small[start + e] = large[start + pixel_shuffled(d, e)];
}

template <class T>
__global__ void __launch_bounds__(kMapThreads)
    pixel_shuffle_kernel(PixelShuffleDims d, const T* small, T* large) {
  const int image = d.h * d.w * d.p * d.p * d.c, e = int(first_element(1));
  const int64_t start = int64_t(blockIdx.y) * image;
  if (first_element(1) < image) large[start + pixel_shuffled(d, e)] = small[start + e];
}

namespace {

LaunchConfig shuffle_config(const PixelShuffleDims& d) {
  check_pixel_shuffle(d);
  return map_config("pixel_shuffle", d.n, int64_t(d.h) * d.w * d.p * d.p * d.c, 1);
}

}  // namespace

void pixel_unshuffle(CudaStream& stream, const PixelShuffleDims& d, In large, Out small) {
  visit_cuda("pixel_unshuffle", large.dtype, [&](auto type) {
    using T = decltype(type);
    launch(pixel_unshuffle_kernel<T>, shuffle_config(d), stream, d, large.as<T>(), small.as<T>());
  });
}

void pixel_shuffle(CudaStream& stream, const PixelShuffleDims& d, In small, Out large) {
  visit_cuda("pixel_shuffle", small.dtype, [&](auto type) {
    using T = decltype(type);
    launch(pixel_shuffle_kernel<T>, shuffle_config(d), stream, d, small.as<T>(), large.as<T>());
  });
}

}  // namespace ito::kernels
