#include "kernels/cuda_map.cuh"
#include "kernels/pool_window.h"

// Forward: x once, if the windows' overlaps come from the cache, and y once: in bf16 2 + 2/stride^2 bytes for
// a pixel's channel of x. Backward: dy and dx once each, and x for a maximum, whose windows are searched again
// for each pixel that they cover (81 reads for 3x3, stride 1, from the cache) instead of being remembered.
namespace ito::kernels {

/// Blocks that a multiprocessor should hold; without this number ptxas tries for twice as many, and spills.
inline constexpr int kPoolBlocks = 4;

/// Where a pack is in one image.
struct PoolPlace {
  int row, column, channel;
  __device__ PoolPlace(int64_t element, int64_t per_image, int w, int c) {
    const int i = int(element - int64_t(blockIdx.y) * per_image), pixel = i / c;
    row = pixel / w, column = pixel - row * w, channel = i - pixel * c;
  }
};

/// Pixel (row, column) of image blockIdx.y.
template <class T>
__device__ inline const T* pool_pixel(const T* images, int h, int w, int c, int row, int column) {
  return images + ((int64_t(blockIdx.y) * h + row) * w + column) * c;
}

template <class T, Pooling kind, int V>
__global__ void __launch_bounds__(kMapThreads, kPoolBlocks)
    pool_forward_kernel(PoolDims d, const T* x, T* y) {
  const int out_w = d.out_w();
  const int64_t per_image = int64_t(d.out_h()) * out_w * d.c;
  map_elements<V>(per_image, [&](auto width, int64_t element) {
    const PoolPlace at(element, per_image, out_w, d.c);
    const Range rows = pixels_of(at.row, d.h, d.r, d.stride, d.pad_top);
    const Range columns = pixels_of(at.column, d.w, d.s, d.stride, d.pad_left);
    float best[width.value] = {};
    for (int i = rows.first; i <= rows.last; ++i) {
#pragma unroll 1
      for (int j = columns.first; j <= columns.last; ++j) {
        const auto from = load<width.value>(pool_pixel(x, d.h, d.w, d.c, i, j) + at.channel);
        const bool first = i == rows.first && j == columns.first;
        for (int k = 0; k < width.value; ++k) {
          const float value = float(from.v[k]);
          if (kind == Pooling::mean)
            best[k] = first ? value : best[k] + value;
          else
            best[k] = first || takes_over(value, best[k]) ? value : best[k];
        }
      }
    }
    Pack<T, width.value> result;
    const float divisor = kind == Pooling::mean ? float(rows.count() * columns.count()) : 1.0f;
    for (int k = 0; k < width.value; ++k) result.v[k] = narrow<T>(best[k] / divisor);
    store(y + element, result);
  });
}

/// Sets bit k of the result where pixel (row, column) is the first that holds the window's maximum of channel
/// k of V.
template <int V, class T>
__device__ inline unsigned find_winners(const PoolDims& d, const T* x, Range rows, Range columns,
                                        const PoolPlace& at, const Pack<T, V>& mine) {
  static_assert(V < 32, "the result has a bit for each channel");
  unsigned won = (1u << V) - 1;
  for (int i = rows.first; i <= rows.last; ++i) {
#pragma unroll 1
    for (int j = columns.first; j <= columns.last; ++j) {
      if (i == at.row && j == at.column) continue;
      const bool before = i < at.row || (i == at.row && j < at.column);
      const auto other = load<V>(pool_pixel(x, d.h, d.w, d.c, i, j) + at.channel);
      for (int k = 0; k < V; ++k) {
        const float a = float(mine.v[k]), b = float(other.v[k]);
        if (before ? !takes_over(a, b) : takes_over(b, a)) won &= ~(1u << k);
      }
    }
  }
  return won;
}

template <class T, Pooling kind, int V>
__global__ void __launch_bounds__(kMapThreads, kPoolBlocks)
    pool_backward_kernel(PoolDims d, const T* dy, const T* x, T* dx) {
  const int64_t per_image = int64_t(d.h) * d.w * d.c;
  map_elements<V>(per_image, [&](auto width, int64_t element) {
    constexpr int kWidth = width.value;
    const int out_h = d.out_h(), out_w = d.out_w();
    const PoolPlace at(element, per_image, d.w, d.c);
    const Range down = windows_of(at.row, out_h, d.r, d.stride, d.pad_top);
    const Range across = windows_of(at.column, out_w, d.s, d.stride, d.pad_left);
    Pack<T, kWidth> mine{};
    if (kind == Pooling::max) mine = load<kWidth>(x + element);
    float sum[kWidth] = {};
    for (int p = down.first; p <= down.last; ++p) {
#pragma unroll 1
      for (int q = across.first; q <= across.last; ++q) {
        const Range rows = pixels_of(p, d.h, d.r, d.stride, d.pad_top);
        const Range columns = pixels_of(q, d.w, d.s, d.stride, d.pad_left);
        const auto from = load<kWidth>(pool_pixel(dy, out_h, out_w, d.c, p, q) + at.channel);
        if (kind == Pooling::mean) {
          const float divisor = float(rows.count() * columns.count());
          for (int k = 0; k < kWidth; ++k) sum[k] += float(from.v[k]) / divisor;
        } else {
          const unsigned won = find_winners<kWidth>(d, x, rows, columns, at, mine);
          for (int k = 0; k < kWidth; ++k) sum[k] += (won >> k & 1) ? float(from.v[k]) : 0.0f;
        }
      }
    }
    Pack<T, kWidth> result;
    for (int k = 0; k < kWidth; ++k) result.v[k] = narrow<T>(sum[k]);
    store(dx + element, result);
  });
}

namespace {

/// Calls f with the kind as a type.
template <class F>
void visit(Pooling kind, F&& f) {
  if (kind == Pooling::max) return f(std::integral_constant<Pooling, Pooling::max>{});
  f(std::integral_constant<Pooling, Pooling::mean>{});
}

void check_indices(const char* op, const PoolDims& d) {
  check_pool(d);
  check_index(op, int64_t(d.h) * d.w * d.c);
  check_index(op, int64_t(d.out_h()) * d.out_w() * d.c);
}

}  // namespace

void pool_forward(CudaStream& stream, Pooling kind, const PoolDims& d, In x, Out y) {
  check_indices("pool_forward", d);
  visit_cuda("pool_forward", x.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    const T* const from = x.as<T>();
    T* const to = y.as<T>();
    visit(kind, [&](auto k) {
      launch_map<V>("pool_forward", stream, d.n, int64_t(d.out_h()) * d.out_w() * d.c,
                    can_pack<V>({d.c}, from, to), pool_forward_kernel<T, k.value, V>,
                    pool_forward_kernel<T, k.value, 1>, d, from, to);
    });
  });
}

void pool_backward(CudaStream& stream, Pooling kind, const PoolDims& d, In dy, In x, Out dx) {
  check_indices("pool_backward", d);
  visit_cuda("pool_backward", dy.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    const T *const from = dy.as<T>(), *const image = x.as<T>();
    T* const to = dx.as<T>();
    visit(kind, [&](auto k) {
      launch_map<V>("pool_backward", stream, d.n, int64_t(d.h) * d.w * d.c,
                    can_pack<V>({d.c}, from, image, to), pool_backward_kernel<T, k.value, V>,
                    pool_backward_kernel<T, k.value, 1>, d, from, image, to);
    });
  });
}

}  // namespace ito::kernels
