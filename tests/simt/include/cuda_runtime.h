#pragma once

/// As much of CUDA's language and runtime as the kernels use, for g++. Stands in front of the toolkit's own
/// header in the include path. Device memory is host memory; a launch returns when the kernel has run.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>

#include "tests/simt/emulator/machine.h"
#include "tests/simt/emulator/shared.h"
#include "tests/simt/include/vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

// ---- device code
// ---------------------------------------------------------------------------------------------------

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  simt::machine().barrier({file, line});
}

inline void __syncwarp(unsigned mask = ~0u, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  simt::machine().exchange(mask, 0, simt::machine().lane(), {file, line});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, const char* file = __builtin_FILE(),
              int line = __builtin_LINE()) {
  static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = simt::machine().exchange(mask, bits, source & 31, {file, line});
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  return __shfl_sync(mask, value, simt::machine().lane() ^ distance, file, line);
}

// One thread runs at a time and changes at barriers only, so any statement is atomic, and seen by all.
inline unsigned atomicAdd(unsigned* sum, unsigned value) {
  const unsigned before = *sum;
  *sum += value;
  return before;
}
inline void __threadfence() {}

inline int min(int a, int b) { return a < b ? a : b; }
inline float __fdividef(float a, float b) { return a / b; }

// ---- runtime
// -------------------------------------------------------------------------------------------------------

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
