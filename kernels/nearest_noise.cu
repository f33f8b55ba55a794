#include "kernels/batch_sample.cuh"
#include "kernels/cuda_sum.cuh"
#include "kernels/nearest_noise.h"

// Reads an image, 1 byte an element, once for every four candidates, and writes 4 bytes a sample. Normal numbers take
// nearly all of the time, as in make_batch.
namespace ito::kernels {

inline constexpr int kNearestThreads = 256;
inline constexpr int kCandidatesAtOnce = 4;

/// A block takes a sample. V as make_batch's.
template <int V>
__global__ void __launch_bounds__(kNearestThreads)
    nearest_noise_kernel(MakeBatchDims d, BatchImages images, int candidates, uint32_t* chosen) {
  SharedMemory shared;
  const auto slots = shared.take<Sum64>(kNearestThreads);
  const int size = d.h * d.w * d.c, n = int(blockIdx.x);
  const uint32_t noise_sample = images.recipes[n].noise_sample;
  const SampleImage image = sample_image(d, images, n);
  double least = 0;  // of thread 0
  uint32_t nearest = 0;
  for (int from = 0; from < candidates; from += kCandidatesAtOnce) {
    double sums[kCandidatesAtOnce] = {};
    for (int first = int(threadIdx.x) * kQuad; first < size; first += kNearestThreads * kQuad) {
      float x0[kQuad] = {};
      read_quad<V>(image, first, x0);
#pragma unroll
      for (int k = 0; k < kCandidatesAtOnce; ++k) {
        if (from + k >= candidates) continue;
        float z[kQuad], sum = 0;
        normal_block(noise_key(d, noise_sample, uint32_t(from + k)), uint32_t(first / kQuad), z);
        for (int i = 0; i < kQuad; ++i)
          if (V == kQuad || first + i < size) sum += (x0[i] - z[i]) * (x0[i] - z[i]);
        sums[k] += double(sum);
      }
    }
#pragma unroll
    for (int k = 0; k < kCandidatesAtOnce; ++k) {
      if (from + k >= candidates) continue;
      const double distance = block_sum(slots, kNearestThreads, sums[k]);
      if (from + k == 0 || distance < least) least = distance, nearest = uint32_t(from + k);
      __syncthreads();
    }
  }
  if (threadIdx.x == 0) chosen[n] = nearest;
}

void nearest_noise(CudaStream& stream, const MakeBatchDims& d, const BatchImages& images, int candidates,
                   uint32_t* chosen) {
  check_nearest_noise(d, candidates);
  const int64_t size = int64_t(d.h) * d.w * d.c;
  // A thread's last index may be a stride beyond the sample's end.
  check_index("nearest_noise", size + kNearestThreads * kQuad);
  LaunchConfig config;
  config.grid = dim3(unsigned(d.n));
  config.block = dim3(kNearestThreads);
  config.shared_bytes = shared_size<Sum64>(kNearestThreads);
  const bool packs = can_pack<kQuad>({size}, images.pixels);
  launch(packs ? nearest_noise_kernel<kQuad> : nearest_noise_kernel<1>, config, stream, d, images, candidates,
         chosen);
}

}  // namespace ito::kernels
