#pragma once

#include "tests/simt/emulator/machine.h"

namespace simt {

[[noreturn]] void report_outside(int element, int count, const SourceLocation& taken);

/// A piece of the block's shared memory, every access checked.
template <class T>
class SharedArray {
 public:
  SharedArray(T* data, int count, const SourceLocation& place) : data_(data), count_(count), place_(place) {}
  T& operator[](int i) const {
    if (unsigned(i) >= unsigned(count_)) report_outside(i, count_, place_);
    return data_[i];
  }
  /// What begins at element i.
  SharedArray operator+(int i) const {
    if (i < 0 || i > count_) report_outside(i, count_, place_);
    return {data_ + i, count_ - i, place_};
  }

 private:
  T* data_;
  int count_;
  SourceLocation place_;
};

/// The dynamic shared memory of the block, cut into pieces in order: see kernels/cuda_shared.cuh.
class SharedMemory {
 public:
  template <class T>
  SharedArray<T> take(int count, const SourceLocation& place = {}) {
    return {static_cast<T*>(take_bytes(sizeof(T) * size_t(count), place)), count, place};
  }

 private:
  void* take_bytes(size_t bytes, const SourceLocation&);
  size_t used_ = 0;
};

}  // namespace simt
