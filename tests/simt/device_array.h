#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/cuda_stream.h"
#include "kernels/dtype.h"
#include "tests/simt/schedules.h"

namespace simt {

/// The arrays that have been made, of those that may be anywhere, which of them is put off its alignment, and how far:
/// an element, or 8 bytes, which suit packs of half the width.
struct Placing {
  int made = 0, shifted = -1, kept = 0;
  bool by_eight_bytes = false;
};
inline Placing& placing() {
  static Placing one;
  return one;
}

/// While it lives, arrays are made that a contract aligns, such as workspaces.
class KeepAligned {
 public:
  KeepAligned() { ++placing().kept; }
  ~KeepAligned() { --placing().kept; }
  KeepAligned(const KeepAligned&) = delete;
  KeepAligned& operator=(const KeepAligned&) = delete;
};

/// Calls run() twice for each of the arrays that it makes, with that array alone off its alignment: a kernel that moves
/// packs has to look at each of its operands. Arrays of more than 4 bytes an element stay where they are.
template <class Run>
void with_each_array_unaligned(Run run) {
  placing() = {};
  run();
  const int arrays = placing().made;
  for (int i = 0; i < 2 * arrays; ++i) {
    placing() = {0, i / 2, 0, i % 2 == 1};
    run();
  }
  placing() = {};
}

/// An array on the device between guards (of NaNs that no other array's guards have, and that the emulator lets no
/// kernel read), all ones (NaN) until it is written. `offset` elements off its natural alignment.
template <class T>
class DeviceArray {
 public:
  DeviceArray(ito::kernels::CudaStream& stream, size_t count, size_t offset = 0)
      : stream_(stream), count_(count), start_(kGuard + offset + shift()), all_(start_ + count + kGuard) {
    memory_ = static_cast<T*>(stream.allocate(all_ * sizeof(T)));
    std::vector<unsigned char> bytes(all_ * sizeof(T), 0xff);
    for (size_t i = 0; i < bytes.size(); ++i)
      if (i / sizeof(T) < start_ || i / sizeof(T) >= start_ + count_) bytes[i] = guard_at(i);
    stream.copy(memory_, bytes.data(), bytes.size());
    stream.synchronize();
    show_only(memory_, data(), count_ * sizeof(T));
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
    const auto* const bytes = reinterpret_cast<const unsigned char*>(all.data());
    for (size_t i = 0; i < all_ * sizeof(T); ++i)
      if ((i / sizeof(T) < start_ || i / sizeof(T) >= start_ + count_) && bytes[i] != guard_at(i))
        ito::fail("a kernel wrote outside its result");
    const auto first = all.begin() + ptrdiff_t(start_);
    return {first, first + ptrdiff_t(count_)};
  }

 private:
  static size_t shift() {
    Placing& p = placing();
    if (sizeof(T) > 4 || p.kept > 0 || p.made++ != p.shifted) return 0;
    return p.by_eight_bytes ? 8 / sizeof(T) : 1;
  }
  /// A NaN as f32 and as bf16, of this array.
  unsigned char guard_at(size_t byte) const {
    return byte % 2 ? 0xff : static_cast<unsigned char>(0x81 + number_ % 0x7f);
  }
  static unsigned next_number() {
    static unsigned made = 0;
    return made++;
  }

  static constexpr size_t kGuard = 64;
  const unsigned number_ = next_number();
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
