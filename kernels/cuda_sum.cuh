#pragma once

#include "kernels/cuda_device.cuh"

namespace ito::kernels {

struct Sum64 {
  double value;
  __device__ void merge(const Sum64& other) { value += other.value; }
};

/// Sum over a block's `threads` threads in f64, always in the same order; thread 0 gets it. slots: one a thread; there
/// must be a barrier between two uses.
__device__ inline double block_sum(const SharedArray<Sum64>& slots, int threads, double mine) {
  Sum64 sum{mine};
  merge_rows(slots, int(threadIdx.x), threads, 0, 1, sum);
  return sum.value;
}

}  // namespace ito::kernels
