#include "kernels/base/math.h"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "kernels/cuda_library.h"
#include "kernels/cuda_library/dynamic_library.h"

#if defined(__CUDACC__) && __has_include(<curand.h>) && __has_include(<curand_philox4x32_x.h>)
#define ITO_HAS_CURAND 1
#include <curand.h>
#include <curand_philox4x32_x.h>
#endif

namespace ito::kernels {
namespace cuda_library {

inline constexpr const char* kInstead = "random numbers are Ito's own, and not compared with it";

/// cuRAND's own arithmetic; ours where there is no such header, as in the tests' emulator.
__device__ inline Philox4 curand_block(Philox4 counter, uint32_t key0, uint32_t key1) {
#if defined(ITO_HAS_CURAND)
  const uint4 words = curand_Philox4x32_10(make_uint4(counter.v[0], counter.v[1], counter.v[2], counter.v[3]),
                                           make_uint2(key0, key1));
  return {{words.x, words.y, words.z, words.w}};
#else
  return philox4x32_10(counter, key0, key1);
#endif
}

inline constexpr int kWordThreads = 128;

__global__ void __launch_bounds__(kWordThreads)
    curand_words_kernel(RandomKey key, uint32_t first, int blocks, uint32_t* words) {
  const int i = int(blockIdx.x) * kWordThreads + int(threadIdx.x);
  if (i >= blocks) return;
  const Philox4 counter{{first + uint32_t(i), key.step, key.sample, uint32_t(key.purpose)}};
  const Philox4 block = curand_block(counter, uint32_t(key.seed), uint32_t(key.seed >> 32));
  for (int j = 0; j < 4; ++j) words[4 * i + j] = block.v[j];
}

}  // namespace cuda_library

void curand_device_words(CudaStream& stream, const RandomKey& key, uint32_t first, int blocks,
                         uint32_t* words) {
  using namespace cuda_library;
#if defined(__CUDACC__) && !defined(ITO_HAS_CURAND)
  fail("this program was compiled without curand.h");
#endif
  LaunchConfig config;
  config.grid = dim3(unsigned(div_up(blocks, kWordThreads)));
  config.block = dim3(kWordThreads);
  launch(curand_words_kernel, config, stream, key, first, blocks, words);
}

#if defined(ITO_HAS_CURAND)

namespace cuda_library {
namespace {

struct Curand {
  DynamicLibrary library{"cuRAND", {"libcurand.so.10", "libcurand.so"}, kInstead};
  decltype(&curandCreateGenerator) create;
  decltype(&curandDestroyGenerator) destroy;
  decltype(&curandSetStream) set_stream;
  decltype(&curandSetPseudoRandomGeneratorSeed) set_seed;
  decltype(&curandSetGeneratorOrdering) set_ordering;
  decltype(&curandGenerate) generate;

  Curand() {
    library.find(create, "curandCreateGenerator");
    library.find(destroy, "curandDestroyGenerator");
    library.find(set_stream, "curandSetStream");
    library.find(set_seed, "curandSetPseudoRandomGeneratorSeed");
    library.find(set_ordering, "curandSetGeneratorOrdering");
    library.find(generate, "curandGenerate");
  }
};

Curand& curand() {
  static Curand one;
  return one;
}

}  // namespace
}  // namespace cuda_library

bool curand_available() { return bool(cuda_library::curand().library); }

void curand_library_words(CudaStream& stream, uint64_t seed, int blocks, uint32_t* words) {
  const auto& curand = cuda_library::curand();
  curandGenerator_t generator = nullptr;
  // In the legacy order neighbouring groups of four words come from neighbouring subsequences (NVIDIA,
  // cuRANDDx, "Use Philox Generator to Generate Random Bits"), and a subsequence is the counter's third word.
  curandStatus_t status = curand.create(&generator, CURAND_RNG_PSEUDO_PHILOX4_32_10);
  if (status == CURAND_STATUS_SUCCESS) status = curand.set_stream(generator, stream.handle());
  if (status == CURAND_STATUS_SUCCESS) status = curand.set_ordering(generator, CURAND_ORDERING_PSEUDO_LEGACY);
  if (status == CURAND_STATUS_SUCCESS) status = curand.set_seed(generator, seed);
  if (status == CURAND_STATUS_SUCCESS) status = curand.generate(generator, words, size_t(blocks) * 4);
  if (generator) curand.destroy(generator);
  if (status != CURAND_STATUS_SUCCESS) fail(cat("cuRAND cannot generate numbers: status ", int(status)));
}

#elif defined(__CUDACC__)

bool curand_available() {
  static const bool available = cuda_library::compiled_without("curand.h", "cuRAND", cuda_library::kInstead);
  return available;
}
void curand_library_words(CudaStream&, uint64_t, int, uint32_t*) {
  fail("this program was compiled without curand.h");
}

#endif

}  // namespace ito::kernels
