#pragma once

#include <vector>

#include "model/unet/unet.h"

namespace ito::model {

/// The specification's network (docs/model.md): contracting and expansive path, two 3x3 convolutions a level,
/// ReLU, skips added, h_l = ReLU(Conv(h_{l-1}) + Skip(h_{L-l})); time enters every level by phi(t) = [sin W t, cos W t]
/// of t itself. Its output is divided by sigma_t: that is the preconditioning "score_scaled", not part of F.
class DocumentUNet {
 public:
  DocumentUNet(const Scope& scope, const NetworkConfig& config);
  Tensor operator()(const NetworkInput& input) const;

 private:
  struct Level {
    Conv2d first, second;
    Linear time;
    std::optional<Conv2d> skip;  // expansive path
    Tensor operator()(const Tensor& x, const Tensor& embedding, const Tensor& across) const;
  };
  Parameter frequencies_;
  Linear time_1_, time_2_;
  std::vector<Level> contracting_, expansive_;
  Conv2d conv_out_;
};

}  // namespace ito::model
