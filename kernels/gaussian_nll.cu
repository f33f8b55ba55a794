#include "kernels/cuda_map.cuh"
#include "kernels/cuda_sum.cuh"
#include "kernels/gaussian_nll.h"

// A number a sample: each of these takes as long as its launch.
namespace ito::kernels {

inline constexpr int kNllThreads = 256;  // so that e^u in f64 has registers enough

__global__ void __launch_bounds__(kMapThreads)
    gaussian_nll_weights_kernel(int64_t n, const float* weight, const float* u, float* scaled) {
  map_elements<1>(n, [&](auto, int64_t i) { scaled[i] = weight[i] * expf(-u[i]); });
}

/// One block.
__global__ void __launch_bounds__(kNllThreads)
    gaussian_nll_total_kernel(int n, double share, const float* loss, const float* u, float* total,
                              float* plain) {
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kNllThreads);
  double all = 0, unscaled = 0;
  for (int i = int(threadIdx.x); i < n; i += kNllThreads) {
    all += double(loss[i]) + share * double(u[i]);
    unscaled += double(loss[i]) * exp(double(u[i]));
  }
  all = block_sum(slots, kNllThreads, all);
  __syncthreads();
  unscaled = block_sum(slots, kNllThreads, unscaled);
  if (threadIdx.x == 0) *total = float(all), *plain = float(unscaled);
}

__global__ void __launch_bounds__(kMapThreads)
    gaussian_nll_backward_kernel(int64_t n, float share, const float* dtotal, const float* loss, float* du) {
  const float upstream = *dtotal;
  map_elements<1>(n, [&](auto, int64_t i) { du[i] = upstream * (share - loss[i]); });
}

void gaussian_nll_weights(CudaStream& stream, int n, In weight, In u, Out scaled) {
  check_gaussian_nll(n);
  check_cuda_dtype("gaussian_nll", u.dtype);
  launch(gaussian_nll_weights_kernel, map_config("gaussian_nll", 1, n, 1), stream, int64_t(n),
         weight.as<float>(), u.as<float>(), scaled.as<float>());
}

void gaussian_nll_total(CudaStream& stream, int n, double share, In loss, In u, Out total, Out plain) {
  check_gaussian_nll(n);
  check_cuda_dtype("gaussian_nll", u.dtype);
  LaunchConfig config;
  config.grid = dim3(1);
  config.block = dim3(kNllThreads);
  config.shared_bytes = shared_size<Sum64>(kNllThreads);
  launch(gaussian_nll_total_kernel, config, stream, n, share, loss.as<float>(), u.as<float>(),
         total.as<float>(), plain.as<float>());
}

void gaussian_nll_backward(CudaStream& stream, int n, double share, In dtotal, In loss, Out du) {
  check_gaussian_nll(n);
  check_cuda_dtype("gaussian_nll", loss.dtype);
  launch(gaussian_nll_backward_kernel, map_config("gaussian_nll", 1, n, 1), stream, int64_t(n), float(share),
         dtotal.as<float>(), loss.as<float>(), du.as<float>());
}

}  // namespace ito::kernels
