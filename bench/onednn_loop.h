#pragma once

#include "engine/device.h"

namespace ito::bench {

/// Median seconds of one convolution pass in bare oneDNN: f32, direct, NHWC activations, weights in oneDNN's
/// own format, nothing around it. 0 where the build has no oneDNN or it has no such primitive.
double onednn_direct_time(const engine::ConvCall& call, int repeats);

}  // namespace ito::bench
