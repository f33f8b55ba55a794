#include <curand.h>
#include <curand_philox4x32_x.h>

#include "kernels/base/math.h"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_library/dynamic_library.h"
#include "tests/cuda/curand.h"

namespace ito::tests {

inline constexpr int kWordThreads = 128;

__global__ void __launch_bounds__(kWordThreads)
    curand_words_kernel(RandomKey key, uint32_t first, int blocks, uint32_t* words) {
  const int i = int(blockIdx.x) * kWordThreads + int(threadIdx.x);
  if (i >= blocks) return;
  const uint4 counter = make_uint4(first + uint32_t(i), key.step, key.sample, uint32_t(key.purpose));
  const uint2 halves = make_uint2(uint32_t(key.seed), uint32_t(key.seed >> 32));
  const uint4 block = curand_Philox4x32_10(counter, halves);
  words[4 * i] = block.x, words[4 * i + 1] = block.y, words[4 * i + 2] = block.z, words[4 * i + 3] = block.w;
}

void curand_device_words(kernels::CudaStream& stream, const RandomKey& key, uint32_t first, int blocks,
                         uint32_t* words) {
  kernels::LaunchConfig config;
  config.grid = dim3(unsigned(div_up(blocks, kWordThreads)));
  config.block = dim3(kWordThreads);
  kernels::launch(curand_words_kernel, config, stream, key, first, blocks, words);
}

namespace {

struct Curand {
  kernels::cuda_library::DynamicLibrary library{"cuRAND",
                                                {"libcurand.so.10", "libcurand.so"},
                                                "our random numbers are not compared with its generator"};
  kernels::cuda_library::LibraryFunction<decltype(curandCreateGenerator)> create{library,
                                                                                 "curandCreateGenerator"};
  kernels::cuda_library::LibraryFunction<decltype(curandDestroyGenerator)> destroy{library,
                                                                                   "curandDestroyGenerator"};
  kernels::cuda_library::LibraryFunction<decltype(curandSetStream)> set_stream{library, "curandSetStream"};
  kernels::cuda_library::LibraryFunction<decltype(curandSetPseudoRandomGeneratorSeed)> set_seed{
      library, "curandSetPseudoRandomGeneratorSeed"};
  kernels::cuda_library::LibraryFunction<decltype(curandSetGeneratorOrdering)> set_ordering{
      library, "curandSetGeneratorOrdering"};
  kernels::cuda_library::LibraryFunction<decltype(curandGenerate)> generate{library, "curandGenerate"};
};

Curand& curand() {
  static Curand one;
  return one;
}

}  // namespace

bool curand_available() { return bool(curand().library); }

void curand_library_words(kernels::CudaStream& stream, uint64_t seed, int blocks, uint32_t* words) {
  curandGenerator_t generator = nullptr;
  // In the legacy order neighbouring groups of four words come from neighbouring subsequences (NVIDIA,
  // cuRANDDx, "Use Philox Generator to Generate Random Bits"), and a subsequence is the counter's third word.
  curandStatus_t status = curand().create(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10);
  if (status == CURAND_STATUS_SUCCESS) status = curand().set_stream(generator, stream.handle());
  if (status == CURAND_STATUS_SUCCESS)
    status = curand().set_ordering(generator, CURAND_ORDERING_PSEUDO_LEGACY);
  if (status == CURAND_STATUS_SUCCESS) status = curand().set_seed(generator, seed);
  if (status == CURAND_STATUS_SUCCESS) status = curand().generate(generator, words, size_t(blocks) * 4);
  if (generator) curand().destroy(generator);
  if (status != CURAND_STATUS_SUCCESS) fail(cat("cuRAND cannot generate numbers: status ", int(status)));
}

}  // namespace ito::tests
