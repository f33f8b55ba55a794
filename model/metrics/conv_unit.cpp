#include "model/metrics/conv_unit.h"

#include "kernels/pointwise.h"

namespace ito::model {

Tensor resident(Device& device, const engine::Shape& shape, const std::vector<float>& values) {
  Tensor t = Tensor::persistent(device, shape, DType::f32);
  device.upload(t.data(), values.data(), t.bytes());
  return t;
}

ConvUnit::ConvUnit(Device& device, const std::vector<int64_t>& shape, const std::vector<float>& w,
                   const std::vector<float>& bias, int stride, const engine::Padding& padding)
    : bias_(resident(device, {shape[0]}, bias)), stride_(stride), padding_(padding) {
  const int64_t k = shape[0], c = shape[1], taps = shape[2] * shape[3];
  std::vector<float> ours(w.size());
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < c; ++j)
      for (int64_t t = 0; t < taps; ++t)
        ours[size_t((i * taps + t) * c + j)] = w[size_t((i * c + j) * taps + t)];
  w_ = resident(device, {k, shape[2], shape[3], c}, ours);
}

Tensor ConvUnit::operator()(const Tensor& x) const {
  Tensor y = conv2d(x, w_, bias_, stride_, padding_);
  x.device().launch([&](auto& s) {
    kernels::activation_forward(s, y.count(), engine::Activation::relu, y.in(), y.out());  // in place
  });
  return y;
}

}  // namespace ito::model
