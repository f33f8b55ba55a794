#pragma once

#include <functional>

#include "engine/device.h"

namespace ito::bench {

/// One convolution pass in bare oneDNN: f32, direct, NHWC activations, weights in oneDNN's own format,
/// nothing around it, operands of its own. Empty where the build has no oneDNN or it has no such primitive.
std::function<void()> onednn_direct(const engine::ConvCall& call);

}  // namespace ito::bench
