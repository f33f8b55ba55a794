#include "model/training/batch_inputs.h"

#include "kernels/carver.h"
#include "model/unet/config.h"

namespace ito::model {

namespace {

using kernels::Carver;

BatchInputs::Parts cut(Carver& carver, const BatchInputs::Layout& l) {
  BatchInputs::Parts p{};
  p.input = carver.take<kernels::StepInput>(1);
  p.recipes = carver.take<kernels::SampleRecipe>(size_t(l.samples));
  p.c_noise = carver.take<float>(size_t(l.samples));
  p.weight = carver.take<float>(size_t(l.samples));
  p.condition = carver.take<float>(size_t(l.samples * l.condition));
  p.keep = carver.take<float>(size_t(l.condition ? l.samples : 0));
  p.maps = carver.take<kernels::ImageMap>(size_t(l.augment ? l.samples : 0));
  p.labels = carver.take<float>(size_t(l.augment ? l.samples * kAugmentationLabels : 0));
  const size_t pairs = l.pairs ? size_t(l.samples) : 0;
  p.lower = carver.take<kernels::SampleRecipe>(pairs);
  p.lower_c_noise = carver.take<float>(pairs);
  p.share = carver.take<float>(pairs);
  p.scale = carver.take<float>(pairs);
  p.pixels = carver.take<uint8_t>(size_t(l.samples * l.staged_bytes));
  return p;
}

}  // namespace

BatchInputs::BatchInputs(engine::Device& device, const Layout& layout)
    : device_(device), layout_(layout), staging_(device, bytes(layout), sizeof(kernels::StepState)) {}

size_t BatchInputs::bytes(const Layout& layout) {
  Carver carver(nullptr);
  cut(carver, layout);
  return carver.used();
}

BatchInputs::Parts BatchInputs::parts(std::byte* base) const {
  Carver carver(base);
  return cut(carver, layout_);
}

engine::Tensor BatchInputs::tensor(const float* of, const engine::Shape& shape) const {
  const std::shared_ptr<engine::Storage>& inputs = staging_.device_inputs();
  const size_t offset = size_t(reinterpret_cast<const std::byte*>(of) - inputs->data());
  return engine::Tensor::view(device_, inputs, offset, shape, engine::DType::f32);
}

}  // namespace ito::model
