#pragma once

#include <vector>

#include "model/unet/unet.h"

namespace ito::model {

/// The score-SDE tutorial's network (Song, 2021), padded so that any even size closes: 3x3 convolutions
/// 32-64-128-256, stride 2 on the way down, nearest + 3x3 on the way up, concatenated skips, a per-channel
/// Linear(embedding of t), GroupNorm, swish after each. Its output is divided by std(t): the preconditioning
/// "score_scaled".
class TutorialUNet {
 public:
  TutorialUNet(const Scope& scope, const NetworkConfig& config);
  Tensor operator()(const NetworkInput& input) const;

 private:
  struct Stage {
    Conv2d conv;
    Linear dense;
    GroupNorm norm;
    Tensor operator()(const Concat& x, const Tensor& embedding) const;
  };
  Parameter frequencies_;
  Linear embed_;
  std::vector<Stage> down_, up_;
  Conv2d conv_out_;
};

}  // namespace ito::model
