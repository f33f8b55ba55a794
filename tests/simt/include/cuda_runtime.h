#pragma once

/// As much of CUDA's language and runtime as the kernels use, for g++. Stands in front of the toolkit's own
/// header in the include path. Device memory is host memory; a launch returns when the kernel has run.

#include <cstddef>
#include <functional>
#include <tuple>

#include "tests/simt/include/device_functions.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9
};
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };
enum cudaDeviceAttr { cudaDevAttrMaxSharedMemoryPerBlockOptin = 97 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaLaunchAttributeID { cudaLaunchAttributeClusterDimension = 4 };
enum : unsigned { cudaStreamNonBlocking = 1 };

using cudaStream_t = struct CUstream_st*;

struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    struct {
      unsigned x, y, z;
    } clusterDim;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

const char* cudaGetErrorString(cudaError_t);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int device);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaMalloc(void** memory, size_t bytes);
cudaError_t cudaFree(void* memory);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t);

namespace simt {
cudaError_t allow_shared(const void* kernel, int bytes);
cudaError_t launch(const cudaLaunchConfig_t&, const void* kernel, const std::function<void()>& body);
}  // namespace simt

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
  return simt::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}

/// Arguments are copied once, as CUDA does; each thread gets its own copy of that.
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const std::tuple<Parameters...> copy(std::forward<Arguments>(arguments)...);
  return simt::launch(*config, reinterpret_cast<const void*>(kernel), [&] { std::apply(kernel, copy); });
}
