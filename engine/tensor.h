#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/shape.h"
#include "kernels/dtype.h"

namespace ito::engine {

using kernels::DType;
class Device;

/// Owns bytes of a device's memory; its destructor gives them back, to the arena or to the device.
class Storage {
 public:
  /// From the device's arena: for what lives inside one step.
  static std::shared_ptr<Storage> from_arena(Device&, size_t bytes);
  /// Of its own, zeroed: for what outlives a step. Counted in Device::persistent_bytes().
  static std::shared_ptr<Storage> persistent(Device&, size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Storage() = default;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  class Arena* arena_ = nullptr;  // null: persistent
  Device* device_ = nullptr;
};

/// A tensor's place on the tape; the epoch tells whether that step is still running.
struct TapeSlot {
  int index = -1;
  uint32_t epoch = 0;
};

/// A value handle to contiguous numbers; copies share them. Kernels write a tensor once, before anything else
/// sees it.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised numbers from the device's arena.
  Tensor(Device&, const Shape&, DType);
  /// Zeros that outlive a step.
  static Tensor persistent(Device&, const Shape&, DType);
  /// `shape` numbers of `storage`, from byte `offset` on.
  static Tensor view(Device&, std::shared_ptr<Storage>, size_t offset, const Shape&, DType);
  /// A copy of host numbers (`shape.count()` of them), converted to `dtype`, in the arena. Not inside a step.
  template <class T>
  static Tensor from(Device&, const Shape&, DType, const T* values);

  bool defined() const { return device_ != nullptr; }
  Device& device() const { return *device_; }
  const Shape& shape() const { return shape_; }
  int64_t count() const { return shape_.count(); }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return size_t(count()) * kernels::size_of(dtype_); }
  /// An operand or a result of a kernel; an undefined tensor is a null operand.
  kernels::In in() const { return {data(), dtype_}; }
  kernels::Out out() { return {data(), dtype_}; }
  void* data() const { return storage_ ? storage_->data() + offset_ : nullptr; }
  /// True where no other handle shares the numbers, so that they may be overwritten.
  bool unshared() const { return storage_.use_count() == 1; }

  /// The same numbers under another shape, without the tape (engine::reshape records).
  Tensor with_shape(const Shape&) const;
  /// `shape` numbers from number `first` on, sharing storage.
  Tensor slice(int64_t first, const Shape& shape) const;
  /// The numbers, converted, on the host. Waits for the device.
  std::vector<double> to_doubles() const;

  TapeSlot slot;

 private:
  Device* device_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::f32;
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;
};

/// Uninitialised numbers of x's shape and dtype.
inline Tensor like(const Tensor& x) { return Tensor(x.device(), x.shape(), x.dtype()); }

}  // namespace ito::engine
