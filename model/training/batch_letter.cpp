#include "model/training/batch_letter.h"

#include "kernels/carver.h"

namespace ito::model {

namespace {

using kernels::Carver;

BatchLetter::Parts cut(Carver& carver, const BatchLetter::Layout& l) {
  BatchLetter::Parts p{};
  p.input = carver.take<kernels::StepInput>(1);
  p.recipes = carver.take<kernels::SampleRecipe>(size_t(l.samples));
  p.c_noise = carver.take<float>(size_t(l.samples));
  p.weight = carver.take<float>(size_t(l.samples));
  p.condition = carver.take<float>(size_t(l.samples * l.condition));
  p.keep = carver.take<float>(size_t(l.condition ? l.samples : 0));
  p.pixels = carver.take<uint8_t>(size_t(l.samples * l.staged_bytes));
  return p;
}

}  // namespace

BatchLetter::BatchLetter(engine::Device& device, const Layout& layout)
    : device_(device), layout_(layout), mailbox_(device, bytes(layout), sizeof(kernels::StepState)) {}

size_t BatchLetter::bytes(const Layout& layout) {
  Carver carver(nullptr);
  cut(carver, layout);
  return carver.used();
}

BatchLetter::Parts BatchLetter::parts(std::byte* base) const {
  Carver carver(base);
  return cut(carver, layout_);
}

engine::Tensor BatchLetter::tensor(const float* of, const engine::Shape& shape) const {
  const std::shared_ptr<engine::Storage>& letter = mailbox_.device_letter();
  const size_t offset = size_t(reinterpret_cast<const std::byte*>(of) - letter->data());
  return engine::Tensor::view(device_, letter, offset, shape, engine::DType::f32);
}

}  // namespace ito::model
