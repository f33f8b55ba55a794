#pragma once

#include "tests/simt/emulator/machine.h"

namespace simt {

/// A piece of the block's shared memory, every access checked.
template <class T>
class SharedArray {
 public:
  SharedArray(T* data, int count, const Place& place) : data_(data), count_(count), place_(place) {}
  T& operator[](int i) const {
    if (i < 0 || i >= count_)
      machine().report("shared memory out of bounds: element " + std::to_string(i) + " of the " +
                           std::to_string(count_) + " taken here",
                       place_);
    return data_[i];
  }

 private:
  T* data_;
  int count_;
  Place place_;
};

/// The dynamic shared memory of the block, cut into pieces in order: see kernels/cuda_shared.cuh.
class SharedMemory {
 public:
  template <class T>
  SharedArray<T> take(int count, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    T* const piece = reinterpret_cast<T*>(machine().shared() + used_);
    used_ += (sizeof(T) * size_t(count) + 15) / 16 * 16;
    if (used_ > machine().shared_bytes())
      machine().report("shared memory out of bounds: " + std::to_string(used_) + " bytes taken of the " +
                           std::to_string(machine().shared_bytes()) + " of the launch",
                       {file, line});
    return {piece, count, {file, line}};
  }

 private:
  size_t used_ = 0;
};

}  // namespace simt
