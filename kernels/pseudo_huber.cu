#include "kernels/cuda_device.cuh"
#include "kernels/cuda_dispatch.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_sum.cuh"
#include "kernels/pseudo_huber.h"

// A number a sample: it takes as long as its launch.
namespace ito::kernels {

inline constexpr int kHuberThreads = 256;

/// One block.
__global__ void __launch_bounds__(kHuberThreads)
    pseudo_huber_kernel(int n, double c, const float* squares, const float* scale, const float* weight,
                        float* slope, float* total) {
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kHuberThreads);
  double all = 0;
  for (int i = int(threadIdx.x); i < n; i += kHuberThreads) {
    const double square = double(squares[i]), root = sqrt(square + c * c);
    all += double(weight[i]) * (square / (root + c));
    slope[i] = float(double(weight[i]) * double(scale[i]) / (2 * root));
  }
  all = block_sum(slots, kHuberThreads, all);
  if (threadIdx.x == 0) *total = float(all);
}

void pseudo_huber(CudaStream& stream, int n, double c, const PseudoHuberOperands& o, Out slope, Out total) {
  check_pseudo_huber(n, c);
  check_cuda_dtype("pseudo_huber", o.squares.dtype);
  LaunchConfig config;
  config.grid = dim3(1);
  config.block = dim3(kHuberThreads);
  config.shared_bytes = shared_size<Sum64>(kHuberThreads);
  launch(pseudo_huber_kernel, config, stream, n, c, o.squares.as<float>(), o.scale.as<float>(),
         o.weight.as<float>(), slope.as<float>(), total.as<float>());
}

}  // namespace ito::kernels
