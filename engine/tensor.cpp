#include "engine/tensor.h"

#include "engine/arena.h"
#include "engine/device.h"

namespace ito::engine {

std::shared_ptr<Storage> Storage::from_arena(Device& device, size_t bytes) {
  std::shared_ptr<Storage> storage(new Storage);
  storage->bytes_ = bytes;
  storage->data_ = static_cast<std::byte*>(device.arena().allocate(bytes));
  storage->arena_ = &device.arena();
  return storage;
}

std::shared_ptr<Storage> Storage::persistent(Device& device, size_t bytes) {
  std::shared_ptr<Storage> storage(new Storage);
  storage->bytes_ = bytes;
  storage->data_ = static_cast<std::byte*>(device.allocate(bytes));
  storage->device_ = &device;
  device.count_persistent(ptrdiff_t(bytes));
  return storage;
}

Storage::~Storage() {
  if (arena_) {
    arena_->release(data_);
  } else if (data_) {
    device_->count_persistent(-ptrdiff_t(bytes_));
    device_->release(data_);
  }
}

Tensor::Tensor(Device& device, const Shape& shape, DType dtype)
    : device_(&device),
      shape_(shape),
      dtype_(dtype),
      storage_(Storage::from_arena(device, size_t(shape.count()) * kernels::size_of(dtype))) {}

Tensor Tensor::persistent(Device& device, const Shape& shape, DType dtype) {
  return view(device, Storage::persistent(device, size_t(shape.count()) * kernels::size_of(dtype)), 0, shape,
              dtype);
}

Tensor Tensor::view(Device& device, std::shared_ptr<Storage> storage, size_t offset, const Shape& shape,
                    DType dtype) {
  Tensor t;
  t.device_ = &device;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.offset_ = offset;
  t.storage_ = std::move(storage);
  if (offset + t.bytes() > t.storage_->bytes())
    fail(cat("a view of ", t.bytes(), " bytes at ", offset, " leaves its storage of ", t.storage_->bytes()));
  return t;
}

template <class T>
Tensor Tensor::from(Device& device, const Shape& shape, DType dtype, const T* values) {
  Tensor t(device, shape, dtype);
  if (device.dry()) return t;
  kernels::visit(dtype, [&]<class U>(U) {
    std::vector<U> converted(static_cast<size_t>(t.count()));
    for (size_t i = 0; i < converted.size(); ++i) converted[i] = U(kernels::arithmetic_t<U>(values[i]));
    device.upload(t.data(), converted.data(), t.bytes());
  });
  return t;
}
template Tensor Tensor::from(Device&, const Shape&, DType, const float*);
template Tensor Tensor::from(Device&, const Shape&, DType, const double*);

Tensor Tensor::with_shape(const Shape& shape) const {
  if (shape.count() != count())
    fail(cat("cannot see ", shape_.str(), " as ", shape.str(), ": the counts differ"));
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

Tensor Tensor::slice(int64_t first, const Shape& shape) const {
  return view(*device_, storage_, offset_ + size_t(first) * kernels::size_of(dtype_), shape, dtype_);
}

std::vector<double> Tensor::to_doubles() const {
  std::vector<double> values(static_cast<size_t>(count()));
  kernels::visit(dtype_, [&]<class U>(U) {
    std::vector<U> numbers(values.size());
    device_->download(numbers.data(), data(), bytes());
    for (size_t i = 0; i < values.size(); ++i) values[i] = double(kernels::arithmetic_t<U>(numbers[i]));
  });
  return values;
}

}  // namespace ito::engine
