#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/base/error.h"
#include "kernels/base/math.h"

namespace ito::kernels {

/// Cuts memory into aligned arrays, one after the other. Over a null base it only adds up the bytes, so one
/// layout function serves both the size and the pointers. An empty array is null.
class Carver {
 public:
  static constexpr size_t kCacheLine = 64;
  /// base is a multiple of `align`, and so is every array's start.
  explicit Carver(void* base, size_t align = kCacheLine)
      : base_(static_cast<std::byte*>(base)), align_(align) {
    if (reinterpret_cast<uintptr_t>(base) % align != 0)
      fail(cat("a workspace must start at a multiple of ", align, " bytes"));
  }

  template <class T>
  T* take(size_t count) {
    static_assert(std::is_trivially_copyable_v<T>,
                  "elements of a carved array are neither constructed nor destroyed");
    std::byte* const at = base_ && count ? base_ + used_ : nullptr;
    used_ += align_up(count * sizeof(T), align_);
    return reinterpret_cast<T*>(at);
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t align_, used_ = 0;
};

}  // namespace ito::kernels
