#include "kernels/base/math.h"
#include "kernels/cuda_map.cuh"
#include "kernels/pointwise.h"

// Every element of an operand is read once and every element of a result written once, which is the minimum.
// Bytes an element in bf16, twice that in f32: activation 4, its gradient 6; add_scaled 6, 4 without b; fill
// 2; add_channels 4, its gradient 2 (the sums are a pixel's size); scale_samples 4. A cast moves 2 + 4.
namespace ito::kernels {

/// bf16 takes the fast forms.
template <class T, Activation kind>
__device__ inline float activated(float v) {
  return std::is_same_v<T, bf16> ? fast_activate<kind, false>(v) : activate<kind>(v);
}
template <class T, Activation kind>
__device__ inline float slope_at(float v) {
  return std::is_same_v<T, bf16> ? fast_activation_slope<kind, false>(v) : activation_slope<kind>(v);
}

template <class T, Activation kind, int V>
__global__ void __launch_bounds__(kMapThreads)
    activation_forward_kernel(int64_t count, const T* from, T* to) {
  map_elements<V>(count, [&](auto width, int64_t i) {
    Pack<float, width.value> x = widen(load<width.value>(from + i));
    for (int k = 0; k < width.value; ++k) x.v[k] = activated<T, kind>(x.v[k]);
    store(to + i, narrow<T>(x));
  });
}

template <class T, Activation kind, int V>
__global__ void __launch_bounds__(kMapThreads)
    activation_backward_kernel(int64_t count, const T* gradient, const T* from, T* to) {
  map_elements<V>(count, [&](auto width, int64_t i) {
    const Pack<float, width.value> dy = widen(load<width.value>(gradient + i));
    Pack<float, width.value> x = widen(load<width.value>(from + i));
    for (int k = 0; k < width.value; ++k) x.v[k] = dy.v[k] * slope_at<T, kind>(x.v[k]);
    store(to + i, narrow<T>(x));
  });
}

/// b may be null.
template <class T, class U, int V>
__global__ void __launch_bounds__(kMapThreads)
    add_scaled_kernel(int64_t count, float alpha, const T* a, float beta, const T* b, U* y) {
  map_elements<V>(count, [&](auto width, int64_t i) {
    const Pack<T, width.value> first = load<width.value>(a + i);
    Pack<T, width.value> second{};
    if (b) second = load<width.value>(b + i);
    Pack<U, width.value> sum;
    for (int k = 0; k < width.value; ++k) {
      const float scaled = alpha * float(first.v[k]);
      sum.v[k] = narrow<U>(b ? scaled + beta * float(second.v[k]) : scaled);
    }
    store(y + i, sum);
  });
}

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads) fill_kernel(int64_t count, T value, T* y) {
  map_elements<V>(count, [&](auto width, int64_t i) {
    Pack<T, width.value> all;
    for (int k = 0; k < width.value; ++k) all.v[k] = value;
    store(y + i, all);
  });
}

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    add_channels_forward_kernel(int hw, int c, const T* from, const T* bias, T* to) {
  const int image = int(blockIdx.y), per_image = hw * c;
  map_elements<V>(per_image, [&](auto width, int64_t i) {
    const int channel = int(i - int64_t(image) * per_image) % c;
    const Pack<T, width.value> b = load<width.value>(bias + int64_t(image) * c + channel);
    Pack<T, width.value> x = load<width.value>(from + i);
    for (int k = 0; k < width.value; ++k) x.v[k] = narrow<T>(float(x.v[k]) + float(b.v[k]));
    store(to + i, x);
  });
}

template <int V>
struct ChannelSums {
  float sum[V];
  __device__ void merge(const ChannelSums& other) {
    for (int k = 0; k < V; ++k) sum[k] += other.sum[k];
  }
};

/// Packs of channels that a block sums: two memory sectors, or 32 single channels.
template <int V>
inline constexpr int kSumColumns = V > 1 ? 4 : 32;

/// Grid: slices of kSumColumns packs x images. The block's rows of threads share the pixels.
template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    add_channels_backward_kernel(int hw, int c, const T* dy, T* dbias) {
  constexpr int kColumns = kSumColumns<V>, kRows = kMapThreads / kColumns;
  static_assert(kMapThreads % kColumns == 0, "every thread of the block has a place in its rows of columns");
  SharedMemory shared;
  const auto slots = shared.take<ChannelSums<V>>(kMapThreads);
  const int column = int(threadIdx.x) % kColumns, row = int(threadIdx.x) / kColumns;
  const int channel = (int(blockIdx.x) * kColumns + column) * V;
  const T* const image = dy + int64_t(blockIdx.y) * hw * c;
  ChannelSums<V> sums{};
  if (channel < c) {
#pragma unroll 4
    for (int pixel = row; pixel < hw; pixel += kRows) {
      const Pack<T, V> x = load<V>(image + int64_t(pixel) * c + channel);
      for (int k = 0; k < V; ++k) sums.sum[k] += float(x.v[k]);
    }
  }
  merge_rows(slots, row, kRows, column, kColumns, sums);
  if (row > 0 || channel >= c) return;
  Pack<T, V> result;
  for (int k = 0; k < V; ++k) result.v[k] = narrow<T>(sums.sum[k]);
  store(dbias + int64_t(blockIdx.y) * c + channel, result);
}

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    scale_samples_kernel(int64_t per_sample, const T* from, const float* scale, T* to) {
  const float factor = scale[blockIdx.y];
  map_elements<V>(per_sample, [&](auto width, int64_t i) {
    Pack<T, width.value> x = load<width.value>(from + i);
    for (int k = 0; k < width.value; ++k) x.v[k] = narrow<T>(factor * float(x.v[k]));
    store(to + i, x);
  });
}

void activation_forward(CudaStream& stream, int64_t count, Activation activation, In x, Out y) {
  check_pointwise("activation", 1, count);
  visit_cuda("activation", x.dtype, [&](auto t) {
    using T = decltype(t);
    visit(activation, [&](auto act) {
      constexpr int V = kPackWidth<T>;
      const T* const from = x.as<T>();
      T* const to = y.as<T>();
      launch_map<V>("activation", stream, 1, count, is_aligned<V>(from, to),
                    activation_forward_kernel<T, act.value, V>, activation_forward_kernel<T, act.value, 1>,
                    count, from, to);
    });
  });
}

void activation_backward(CudaStream& stream, int64_t count, Activation activation, In dy, In x, Out dx) {
  check_pointwise("activation", 1, count);
  visit_cuda("activation", x.dtype, [&](auto t) {
    using T = decltype(t);
    visit(activation, [&](auto act) {
      constexpr int V = kPackWidth<T>;
      const T *const gradient = dy.as<T>(), *const from = x.as<T>();
      T* const to = dx.as<T>();
      launch_map<V>("activation", stream, 1, count, is_aligned<V>(gradient, from, to),
                    activation_backward_kernel<T, act.value, V>, activation_backward_kernel<T, act.value, 1>,
                    count, gradient, from, to);
    });
  });
}

void add_scaled(CudaStream& stream, int64_t count, double alpha, In a, double beta, In b, Out y) {
  check_pointwise("add_scaled", 1, count);
  visit_cuda("add_scaled", a.dtype, [&](auto t) {
    visit_cuda("add_scaled", y.dtype, [&](auto u) {
      using T = decltype(t);
      using U = decltype(u);
      constexpr int V = std::min(kPackWidth<T>, kPackWidth<U>);
      const T *const first = a.as<T>(), *const second = b.as<T>();
      U* const sum = y.as<U>();
      launch_map<V>("add_scaled", stream, 1, count, is_aligned<V>(first, second, sum),
                    add_scaled_kernel<T, U, V>, add_scaled_kernel<T, U, 1>, count, float(alpha), first,
                    float(beta), second, sum);
    });
  });
}

void fill(CudaStream& stream, int64_t count, double value, Out y) {
  check_pointwise("fill", 1, count);
  visit_cuda("fill", y.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    T* const to = y.as<T>();
    launch_map<V>("fill", stream, 1, count, is_aligned<V>(to), fill_kernel<T, V>, fill_kernel<T, 1>, count,
                  T(float(value)), to);
  });
}

void add_channels_forward(CudaStream& stream, int n, int hw, int c, In x, In bias, Out y) {
  check_pointwise("add_channels", n, int64_t(hw) * c);
  check_index("add_channels", int64_t(hw) * c);
  visit_cuda("add_channels", x.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    const T *const from = x.as<T>(), *const biases = bias.as<T>();
    T* const to = y.as<T>();
    launch_map<V>("add_channels", stream, n, int64_t(hw) * c, can_pack<V>({c}, from, biases, to),
                  add_channels_forward_kernel<T, V>, add_channels_forward_kernel<T, 1>, hw, c, from, biases,
                  to);
  });
}

namespace {

template <class T, int V>
void sum_channels(CudaStream& stream, int n, int hw, int c, const T* dy, T* dbias) {
  LaunchConfig config = map_config("add_channels", n, c, 1);
  config.grid.x = unsigned(div_up(c, kSumColumns<V> * V));
  config.shared_bytes = shared_size<ChannelSums<V>>(kMapThreads);
  launch(add_channels_backward_kernel<T, V>, config, stream, hw, c, dy, dbias);
}

}  // namespace

void add_channels_backward(CudaStream& stream, int n, int hw, int c, In dy, Out dbias) {
  check_pointwise("add_channels", n, int64_t(hw) * c);
  visit_cuda("add_channels", dy.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    visit_width<V>(can_pack<V>({c}, dy.as<T>(), dbias.as<T>()), [&](auto width) {
      sum_channels<T, width.value>(stream, n, hw, c, dy.as<T>(), dbias.as<T>());
    });
  });
}

void scale_samples(CudaStream& stream, int n, int64_t per_sample, In x, In scale, Out y) {
  check_pointwise("scale_samples", n, per_sample);
  visit_cuda("scale_samples", x.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    const T* const from = x.as<T>();
    T* const to = y.as<T>();
    launch_map<V>("scale_samples", stream, n, per_sample, is_aligned<V>(from, to), scale_samples_kernel<T, V>,
                  scale_samples_kernel<T, 1>, per_sample, from, scale.as<float>(), to);
  });
}

}  // namespace ito::kernels
