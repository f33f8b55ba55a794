#pragma once

#include <variant>

#include "model/unet/document_unet.h"
#include "model/unet/tutorial_unet.h"
#include "model/unet/unet.h"

namespace ito::model {

/// F(x; c_noise): any of the networks, over one track of a store's weights.
class Network {
 public:
  Network(const Scope& scope, const NetworkConfig& config);
  /// x [N,H,W,C] in the compute dtype -> [N,H,W,C] of the same dtype.
  Tensor operator()(const NetworkInput& input) const;
  const NetworkConfig& config() const { return config_; }

 private:
  static std::variant<UNet, DocumentUNet, TutorialUNet> make(const Scope&, const NetworkConfig&);
  NetworkConfig config_;
  std::variant<UNet, DocumentUNet, TutorialUNet> network_;
};

/// Trained numbers, and floating-point operations (2 for each multiply-add of convolutions, products and
/// attention) of one image's forward pass: counted by building the network and running it dry.
struct NetworkSize {
  int64_t parameters;
  double forward_flops;
};
NetworkSize measure(const NetworkConfig& config);

}  // namespace ito::model
