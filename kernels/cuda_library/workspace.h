#pragma once

#include <cstddef>

#include "kernels/carver.h"
#include "kernels/conv2d.h"

namespace ito::kernels::cuda_library {

/// What libraries want a workspace's pieces to start at multiples of.
inline constexpr size_t kWorkspaceAlign = 256;

inline void check_dtype(const char* what, DType t) {
  if (t == DType::f64) fail(cat(what, ": f64 exists on the CPU only; on CUDA use f32 or bf16"));
}

}  // namespace ito::kernels::cuda_library
