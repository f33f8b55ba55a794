#include "model/unet/network.h"

#include "engine/device.h"
#include "engine/ops.h"

namespace ito::model {

std::variant<UNet, DocumentUNet, TutorialUNet> Network::make(const Scope& scope,
                                                             const NetworkConfig& config) {
  check(config);
  const NetworkConfig inner = config.without_patches();
  switch (config.kind) {
    case NetworkKind::document:
      return DocumentUNet(scope, inner);
    case NetworkKind::tutorial:
      return TutorialUNet(scope, inner);
    case NetworkKind::unet:
      break;
  }
  return UNet(scope, inner);
}

Network::Network(const Scope& scope, const NetworkConfig& config)
    : config_(config), network_(make(scope, config)) {}

Tensor Network::operator()(const NetworkInput& input) const {
  const auto& s = input.x.shape();
  if (s.rank() != 4 || s[3] != config_.channels || s[1] % config_.stride() || s[2] % config_.stride())
    fail(cat("the network reads [N,H,W,", config_.channels, "] with H and W multiples of ", config_.stride(),
             ", not ", s.str()));
  if (input.c_noise.shape() != engine::Shape{s[0]})
    fail(cat("c_noise must be [", s[0], "], is ", input.c_noise.shape().str()));
  if (input.condition.defined() && !config_.condition_width())
    fail("a condition is given to a network that was made without one");
  if (input.augment.defined() && !config_.augment)
    fail("labels of augmented images are given to a network that was made without them");
  NetworkInput inner = input;
  if (config_.patch > 1) inner.x = pixel_unshuffle(input.x, config_.patch);  // [N,H/p,W/p,p^2 C]
  const Tensor f = std::visit([&](const auto& network) { return network(inner); }, network_);
  return config_.patch > 1 ? pixel_shuffle(f, config_.patch) : f;
}

NetworkSize measure(const NetworkConfig& config) {
  engine::Device device;
  engine::ParamStore store(device);
  const Network network(Scope(store), config);
  const int64_t parameters = store.trainable_count();
  store.allocate(engine::ParamStore::Use::inference, 0);
  engine::DryRun dry(device);
  engine::NoGrad off(device);
  network({Tensor(device, {1, config.height, config.width, config.channels}, engine::DType::f32),
           Tensor(device, {1}, engine::DType::f32),
           {},
           {},
           {}});
  return {parameters, device.recorder().flops};
}

}  // namespace ito::model
