#pragma once

#include <optional>
#include <vector>

#include "model/unet/layers.h"

namespace ito::model {

/// The U-Net of diffusers' UNet2DModel (Ho et al., arXiv:2006.11239): same names, same arithmetic, so weights
/// go both ways.
class UNet {
 public:
  UNet(const Scope& scope, const NetworkConfig& config);
  Tensor operator()(const NetworkInput& input) const;

 private:
  struct Level {
    std::vector<ResnetBlock> resnets;
    std::vector<AttentionBlock> attentions;  // one a resnet, or none
    std::vector<Conv2d> skips;               // added skips whose channels differ (decoder)
    // Down or up, one of the two; neither at the last level.
    std::optional<Conv2d> sampler;
    std::optional<ResnetBlock> residual_sampler;
  };
  static Level down_level(const Scope&, const NetworkConfig&, int level);
  static Level up_level(const Scope&, const NetworkConfig&, int level);
  Tensor encode(Tensor h, const Tensor& embedding, DropoutSource&, std::vector<Tensor>& skips) const;
  Tensor decode(Tensor h, const Tensor& embedding, DropoutSource&, std::vector<Tensor>& skips) const;

  NetworkConfig config_;
  TimeEmbedding time_;
  Conv2d conv_in_;
  std::vector<Level> down_, up_;
  ResnetBlock mid_first_;
  AttentionBlock mid_attention_;
  ResnetBlock mid_second_;
  GroupNorm norm_out_;
  Conv2d conv_out_;
};

}  // namespace ito::model
