#pragma once

/// The few vector types of CUDA that the emulator's runtime needs.
struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Set before a thread continues, so that kernels read them as plain variables.
inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
