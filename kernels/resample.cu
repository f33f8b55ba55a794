#include "kernels/cuda_map.cuh"
#include "kernels/resample.h"

// Both read each element of x once and write each element of y once, which is the minimum: 10 bytes for an
// element of the small image and its four of the large one in bf16, 20 in f32.
namespace ito::kernels {

/// Where a pack of the small image lies in the large one: its upper left of four, which are c apart along
/// the row and 2 w c from row to row.
__device__ inline int64_t upper_left(int64_t small, int w, int c, int per_image) {
  const int element = int(small - int64_t(blockIdx.y) * per_image), row = element / (w * c);
  const int pixel = element / c - row * w, channel = element % c;
  return int64_t(blockIdx.y) * 4 * per_image + (int64_t(row) * 4 * w + 2 * pixel) * c + channel;
}

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    nearest_up_kernel(int h, int w, int c, float scale, const T* x, T* y) {
  map_elements<V>(h * w * c, [&](auto width, int64_t i) {
    Pack<float, width.value> scaled = widen(load<width.value>(x + i));
    for (int k = 0; k < width.value; ++k) scaled.v[k] *= scale;
    const Pack<T, width.value> value = narrow<T>(scaled);
    T* const upper = y + upper_left(i, w, c, h * w * c);
    T* const lower = upper + int64_t(2) * w * c;
    store(upper, value), store(upper + c, value);
    store(lower, value), store(lower + c, value);
  });
}

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    box_down_kernel(int h, int w, int c, float scale, const T* x, T* y) {
  map_elements<V>(h * w * c, [&](auto width, int64_t i) {
    const T* const upper = x + upper_left(i, w, c, h * w * c);
    const T* const lower = upper + int64_t(2) * w * c;
    const auto a = widen(load<width.value>(upper)), b = widen(load<width.value>(upper + c));
    const auto d = widen(load<width.value>(lower)), e = widen(load<width.value>(lower + c));
    Pack<float, width.value> mean;
    for (int k = 0; k < width.value; ++k) mean.v[k] = scale * ((a.v[k] + b.v[k]) + (d.v[k] + e.v[k]));
    store(y + i, narrow<T>(mean));
  });
}

namespace {

/// h, w: of the small image.
template <int V, class Packed, class Single, class T>
void launch_resample(const char* op, CudaStream& stream, int n, int h, int w, int c, float scale, const T* x,
                     T* y, Packed packed, Single single) {
  check_resample(op, n, h, w, c);
  check_index(op, int64_t(h) * w * c);
  launch_map<V>(op, stream, n, int64_t(h) * w * c, can_pack<V>({c}, x, y), packed, single, h, w, c, scale, x,
                y);
}

}  // namespace

void nearest_up(CudaStream& stream, int n, int h, int w, int c, float scale, In x, Out y) {
  visit_cuda("nearest_up", x.dtype, [&](auto t) {
    using T = decltype(t);
    launch_resample<kPackWidth<T>>("nearest_up", stream, n, h, w, c, scale, x.as<T>(), y.as<T>(),
                                   nearest_up_kernel<T, kPackWidth<T>>, nearest_up_kernel<T, 1>);
  });
}

void box_down(CudaStream& stream, int n, int h, int w, int c, float scale, In x, Out y) {
  visit_cuda("box_down", x.dtype, [&](auto t) {
    using T = decltype(t);
    launch_resample<kPackWidth<T>>("box_down", stream, n, h, w, c, scale, x.as<T>(), y.as<T>(),
                                   box_down_kernel<T, kPackWidth<T>>, box_down_kernel<T, 1>);
  });
}

}  // namespace ito::kernels
