#pragma once

#include <type_traits>
#include <vector>

#include "engine/device.h"

namespace ito::engine {

/// Values of a plain type in a device's memory, at a fixed address; they outlive steps.
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  Buffer(Device& device, size_t count)
      : device_(&device), count_(count), storage_(Storage::persistent(device, count * sizeof(T))) {}
  Buffer(Device& device, const std::vector<T>& values) : Buffer(device, values.size()) {
    write(values.data(), values.size());
  }

  size_t size() const { return count_; }
  T* data() const { return storage_ ? reinterpret_cast<T*>(storage_->data()) : nullptr; }

  /// Copies from the host, and waits until that is done.
  void write(const T* values, size_t count) { device_->upload(data(), values, count * sizeof(T)); }
  /// Copies to the host; waits for the device.
  std::vector<T> read() const {
    std::vector<T> values(count_);
    device_->download(values.data(), data(), count_ * sizeof(T));
    return values;
  }
  const std::shared_ptr<Storage>& storage() const { return storage_; }

 private:
  Device* device_ = nullptr;
  size_t count_ = 0;
  std::shared_ptr<Storage> storage_;
};

}  // namespace ito::engine
