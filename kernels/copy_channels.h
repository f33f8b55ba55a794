#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Some neighbouring channels of images with `channels` of them.
struct ChannelRange {
  int channels, first;
};

/// y[n,p,to.first+j] = x[n,p,from.first+j] for j < count; y's other channels are left as they are.
/// x [n,hw,from.channels], y [n,hw,to.channels] of one dtype, apart.
void copy_channels(CpuStream&, int n, int hw, int count, const ChannelRange& from, In x,
                   const ChannelRange& to, Out y);
void copy_channels(CudaStream&, int n, int hw, int count, const ChannelRange& from, In x,
                   const ChannelRange& to, Out y);

/// Error: a range that does not fit its image.
void check_copy_channels(int count, const ChannelRange& from, const ChannelRange& to);

}  // namespace ito::kernels
