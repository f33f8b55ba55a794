#include "model/training/batch_letter.h"

namespace ito::model {

namespace {

/// Cuts memory into arrays that start at whole cache lines; over a null base it only adds up the bytes.
class Cutter {
 public:
  explicit Cutter(std::byte* base) : base_(base) {}
  template <class T>
  T* take(int64_t count) {
    if (count == 0) return nullptr;
    std::byte* const at = base_ ? base_ + used_ : nullptr;
    used_ += (size_t(count) * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

BatchLetter::Parts cut(Cutter& cutter, const BatchLetter::Layout& l) {
  BatchLetter::Parts p{};
  p.input = cutter.take<kernels::StepInput>(1);
  p.recipes = cutter.take<kernels::SampleRecipe>(l.samples);
  p.c_noise = cutter.take<float>(l.samples);
  p.weight = cutter.take<float>(l.samples);
  p.condition = cutter.take<float>(l.samples * l.condition);
  p.keep = cutter.take<float>(l.condition ? l.samples : 0);
  p.pixels = cutter.take<uint8_t>(l.samples * l.staged_bytes);
  return p;
}

}  // namespace

BatchLetter::BatchLetter(engine::Device& device, const Layout& layout)
    : device_(device), layout_(layout), mailbox_(device, bytes(layout), sizeof(kernels::StepState)) {}

size_t BatchLetter::bytes(const Layout& layout) {
  Cutter cutter(nullptr);
  cut(cutter, layout);
  return cutter.used();
}

BatchLetter::Parts BatchLetter::parts(std::byte* base) const {
  Cutter cutter(base);
  return cut(cutter, layout_);
}

engine::Tensor BatchLetter::tensor(const float* of, const engine::Shape& shape) const {
  const std::shared_ptr<engine::Storage>& letter = mailbox_.device_letter();
  const size_t offset = size_t(reinterpret_cast<const std::byte*>(of) - letter->data());
  return engine::Tensor::view(device_, letter, offset, shape, engine::DType::f32);
}

}  // namespace ito::model
