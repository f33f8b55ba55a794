#pragma once

#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// Some neighbouring channels of images with `channels` of them.
struct ChannelRange {
  int channels, first;
};

/// y[n,p,to.first+j] = x[n,p,from.first+j] for j < count; y's other channels are left as they are.
/// x [n,hw,from.channels], y [n,hw,to.channels] of one dtype, apart. Error: a range that does not fit its
/// image.
void copy_channels(CpuStream&, int n, int hw, int count, const ChannelRange& from, In x,
                   const ChannelRange& to, Out y);
void copy_channels(CudaStream&, int n, int hw, int count, const ChannelRange& from, In x,
                   const ChannelRange& to, Out y);

/// What every implementation refuses, with the same words.
inline void check_channels(int count, const ChannelRange& from, const ChannelRange& to) {
  for (const ChannelRange& r : {from, to})
    if (count < 1 || r.first < 0 || r.first > r.channels - count)
      fail(cat("copy_channels: ", count, " channels from ", r.first, " on do not fit an image of ",
               r.channels));
}

}  // namespace ito::kernels
