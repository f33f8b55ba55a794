#pragma once

#include <cuda_runtime.h>

#include <utility>

#include "kernels/base/error.h"
#include "kernels/cuda_stream.h"

namespace ito::kernels {

/// Throws what was tried, what CUDA says, where, and what to do about it.
[[noreturn]] void fail_cuda(cudaError_t error, const char* tried, const char* file, int line);

inline void check_cuda(cudaError_t error, const char* tried, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  if (error != cudaSuccess) fail_cuda(error, tried, file, line);
}

/// The same for a kernel that cannot be launched, with its name.
[[noreturn]] void fail_launch(cudaError_t error, const void* kernel, const char* file, int line);

/// Does nothing. Whether a card can take it shows whether the program has code for that card.
__global__ void empty_kernel();

struct LaunchConfig {
  LaunchConfig(const char* file = __builtin_FILE(), int line = __builtin_LINE()) : file(file), line(line) {}
  dim3 grid = 1, block = 1;
  size_t shared_bytes = 0;  // dynamic shared memory of a block
  int cluster = 1;          // blocks of a cluster, along x
  const char* file;         // where the launch was made, for errors
  int line;
};

/// Puts kernel(arguments...) into the stream's queue, in place of <<<>>>, which only nvcc understands.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchConfig& config, CudaStream& stream,
            Arguments&&... arguments) {
  constexpr size_t kSharedWithoutAsking = 48 * 1024;
  if (config.shared_bytes > kSharedWithoutAsking)
    check_cuda(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(config.shared_bytes)),
        "give a kernel its shared memory", config.file, config.line);
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = unsigned(config.cluster);
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t how{};
  how.gridDim = config.grid;
  how.blockDim = config.block;
  how.dynamicSmemBytes = config.shared_bytes;
  how.stream = stream.handle();
  how.attrs = &cluster;
  how.numAttrs = config.cluster > 1;  // cards before 9.0 refuse the attribute
  const cudaError_t error = cudaLaunchKernelEx(&how, kernel, std::forward<Arguments>(arguments)...);
  if (error != cudaSuccess)
    fail_launch(error, reinterpret_cast<const void*>(kernel), config.file, config.line);
}

}  // namespace ito::kernels
