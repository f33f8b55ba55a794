#pragma once

#include <utility>
#include <vector>

#include "engine/device.h"
#include "kernels/linear.h"
#include "model/unet/config.h"

namespace ito::bench {

template <class Dims>
struct Used {
  Dims dims;
  int uses;  // in one forward pass
};

/// Each different convolution pass once, with how often it occurs, in order of first appearance.
std::vector<Used<engine::ConvCall>> distinct(const std::vector<engine::ConvCall>& calls);

struct NormShape {
  int h, w, c1, c2;
};
struct AttentionShape {
  int h, w, channels, heads;
};
struct ImageShape {
  int h, w, c;
};

/// What a U-Net's forward pass is made of at a batch size.
struct NetworkShapes {
  std::vector<Used<engine::ConvCall>> convolutions;
  std::vector<Used<NormShape>> norms;  // all with the activation but attention's, which are as large
  std::vector<Used<AttentionShape>> attentions;
  std::vector<Used<kernels::LinearDims>> products;
  std::vector<Used<ImageShape>> upsamplings;  // input
  int64_t parameters = 0;                     // trained numbers
};

/// Convolutions as a dry run asks for them; the rest follows from their order and the configuration. Error:
/// not a network of the kind `unet`.
NetworkShapes network_shapes(const model::NetworkConfig&, int batch);

}  // namespace ito::bench
