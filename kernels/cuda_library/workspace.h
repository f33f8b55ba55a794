#pragma once

#include <cstddef>

#include "kernels/conv2d.h"

namespace ito::kernels::cuda_library {

/// Cuts a workspace into pieces at multiples of 256 bytes; without memory it only counts.
class Workspace {
 public:
  explicit Workspace(void* memory = nullptr) : memory_(static_cast<std::byte*>(memory)) {}

  void* take(size_t bytes) {
    std::byte* const piece = memory_ ? memory_ + used_ : nullptr;
    used_ += (bytes + 255) / 256 * 256;
    return piece;
  }
  size_t used() const { return used_; }

 private:
  std::byte* memory_;
  size_t used_ = 0;
};

inline void check_dtype(const char* what, DType t) {
  if (t == DType::f64) fail(cat(what, ": f64 exists on the CPU only; on CUDA use f32 or bf16"));
}

}  // namespace ito::kernels::cuda_library
