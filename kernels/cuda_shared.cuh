#pragma once

#include <cuda_runtime.h>

#include "kernels/base/math.h"

/// The one way to shared memory. A kernel cuts its dynamic shared memory into arrays, in order:
///   SharedMemory shared;
///   SharedArray<float> sums = shared.take<float>(32);
/// Arrays start at multiples of 16 bytes (shared_size counts them for the launch) and hold nothing defined.
/// Under nvcc an array is a plain pointer; the tests' emulator puts checked ones in their place.
namespace ito::kernels {

/// Bytes that take<T>(count) uses.
template <class T>
ITO_HOST_DEVICE constexpr size_t shared_size(size_t count) {
  static_assert(alignof(T) <= 16, "arrays in shared memory start at multiples of 16 bytes, of no more");
  return align_up(sizeof(T) * count, size_t(16));
}

#if defined(__CUDACC__)

extern __shared__ uint4 dynamic_shared_memory[];

template <class T>
using SharedArray = T*;

class SharedMemory {
 public:
  template <class T>
  __device__ SharedArray<T> take(int count) {
    T* const piece = reinterpret_cast<T*>(reinterpret_cast<char*>(dynamic_shared_memory) + used_);
    used_ += unsigned(shared_size<T>(count));
    return piece;
  }

 private:
  unsigned used_ = 0;
};

#else

using simt::SharedArray;
using simt::SharedMemory;

#endif

}  // namespace ito::kernels
