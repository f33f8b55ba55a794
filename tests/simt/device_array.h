#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/cuda_stream.h"
#include "kernels/dtype.h"
#include "tests/simt/schedules.h"

namespace simt {

/// An array on the device between guards, all ones (NaN) until it is written. `offset` elements off its
/// natural alignment.
template <class T>
class DeviceArray {
 public:
  DeviceArray(ito::kernels::CudaStream& stream, size_t count, size_t offset = 0)
      : stream_(stream), count_(count), start_(kGuard + offset), all_(start_ + count + kGuard) {
    memory_ = static_cast<T*>(stream.allocate(all_ * sizeof(T)));
    const std::vector<unsigned char> ones(all_ * sizeof(T), 0xff);
    stream.copy(memory_, ones.data(), ones.size());
    stream.synchronize();
  }
  DeviceArray(ito::kernels::CudaStream& stream, const std::vector<T>& values, size_t offset = 0)
      : DeviceArray(stream, values.size(), offset) {
    stream.copy(data(), values.data(), count_ * sizeof(T));
    stream.synchronize();
  }
  ~DeviceArray() { stream_.release(memory_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  T* data() { return memory_ + start_; }
  ito::kernels::In in() { return {count_ ? data() : nullptr, ito::kernels::dtype_of<T>::value}; }
  ito::kernels::Out out() { return {count_ ? data() : nullptr, ito::kernels::dtype_of<T>::value}; }

  /// The values; fails where a guard has been written.
  std::vector<T> read() {
    std::vector<T> all(all_);
    stream_.synchronize();
    stream_.copy(all.data(), memory_, all_ * sizeof(T));
    stream_.synchronize();
    const auto untouched = [](const T& value) {
      unsigned char bytes[sizeof(T)];
      std::memcpy(bytes, &value, sizeof(T));
      return std::all_of(bytes, bytes + sizeof(T), [](unsigned char b) { return b == 0xff; });
    };
    const auto first = all.begin() + ptrdiff_t(start_), last = first + ptrdiff_t(count_);
    if (!std::all_of(all.begin(), first, untouched) || !std::all_of(last, all.end(), untouched))
      ito::fail("a kernel wrote outside its result");
    return {first, last};
  }

 private:
  static constexpr size_t kGuard = 64;
  ito::kernels::CudaStream& stream_;
  size_t count_, start_, all_;
  T* memory_ = nullptr;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  return a.empty() ||
         std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;  // an empty vector's data may be null
}

}  // namespace simt
