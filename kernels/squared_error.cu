#include "kernels/cuda_map.cuh"
#include "kernels/cuda_sum.cuh"
#include "kernels/squared_error.h"

// Forward reads y and target once, 2 + 4 bytes an element in bf16 (4 + 4 in f32); backward reads them once
// more and writes dy, 2 + 4 + 2 (4 + 4 + 4). That is the minimum of each.
namespace ito::kernels {

inline constexpr int kErrorThreads = 512;
inline constexpr int kErrorPack = kPackWidth<float>;  // the targets'

/// A block sums a sample. V > 1: per_sample is a multiple of V.
template <class T, int V>
__global__ void __launch_bounds__(kErrorThreads)
    squared_error_forward_kernel(int64_t per_sample, const T* y, const float* target, const float* weight,
                                 float* loss) {
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kErrorThreads);
  const int64_t start = int64_t(blockIdx.x) * per_sample;
  double sum = 0;
#pragma unroll 4
  for (int64_t i = int64_t(threadIdx.x) * V; i < per_sample; i += kErrorThreads * V) {
    const Pack<T, V> a = load<V>(y + start + i);
    const Pack<float, V> b = load<V>(target + start + i);
    for (int k = 0; k < V; ++k) {
      const double difference = double(float(a.v[k])) - double(b.v[k]);
      sum += difference * difference;
    }
  }
  sum = block_sum(slots, kErrorThreads, sum);
  if (threadIdx.x == 0) loss[blockIdx.x] = float(sum * double(weight[blockIdx.x]));
}

/// One block. total = the samples' losses, summed in f64.
__global__ void __launch_bounds__(kErrorThreads)
    squared_error_total_kernel(int n, const float* loss, float* total) {
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kErrorThreads);
  double sum = 0;
  for (int i = int(threadIdx.x); i < n; i += kErrorThreads) sum += double(loss[i]);
  sum = block_sum(slots, kErrorThreads, sum);
  if (threadIdx.x == 0) *total = float(sum);
}

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    squared_error_backward_kernel(int64_t per_sample, const float* dtotal, const T* y, const float* target,
                                  const float* weight, T* dy) {
  const float factor = *dtotal * 2.0f * weight[blockIdx.y];
  map_elements<V>(per_sample, [&](auto width, int64_t i) {
    Pack<T, width.value> a = load<width.value>(y + i);
    const Pack<float, width.value> b = load<width.value>(target + i);
    for (int k = 0; k < width.value; ++k) a.v[k] = narrow<T>(factor * (float(a.v[k]) - b.v[k]));
    store(dy + i, a);
  });
}

void squared_error_forward(CudaStream& stream, int n, int64_t per_sample, const SquaredErrorOperands& o,
                           Out loss, Out total) {
  check_squared_error(n, per_sample);
  visit_cuda("squared_error", o.y.dtype, [&](auto t) {
    using T = decltype(t);
    const T* const ys = o.y.as<T>();
    const float* const targets = o.target.as<float>();
    const bool packs = can_pack<kErrorPack>({per_sample}, ys, targets);
    LaunchConfig config;
    config.grid = dim3(unsigned(n));
    config.block = dim3(kErrorThreads);
    config.shared_bytes = shared_size<Sum64>(kErrorThreads);
    launch(packs ? squared_error_forward_kernel<T, kErrorPack> : squared_error_forward_kernel<T, 1>, config,
           stream, per_sample, ys, targets, o.weight.as<float>(), loss.as<float>());
    config.grid = dim3(1);
    launch(squared_error_total_kernel, config, stream, n, loss.as<float>(), total.as<float>());
  });
}

void squared_error_backward(CudaStream& stream, int n, int64_t per_sample, In dtotal,
                            const SquaredErrorOperands& o, Out dy) {
  check_squared_error(n, per_sample);
  visit_cuda("squared_error", o.y.dtype, [&](auto t) {
    using T = decltype(t);
    const T* const ys = o.y.as<T>();
    const float* const targets = o.target.as<float>();
    T* const result = dy.as<T>();
    launch_map<kErrorPack>("squared_error", stream, n, per_sample,
                           is_aligned<kErrorPack>(ys, targets, result),
                           squared_error_backward_kernel<T, kErrorPack>, squared_error_backward_kernel<T, 1>,
                           per_sample, dtotal.as<float>(), ys, targets, o.weight.as<float>(), result);
  });
}

}  // namespace ito::kernels
