#include "kernels/copy_channels.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/math.h"
#include "kernels/parallel.h"

namespace ito::kernels {

void check_copy_channels(int count, const ChannelRange& from, const ChannelRange& to) {
  for (const ChannelRange& r : {from, to})
    if (count < 1 || r.first < 0 || r.first > r.channels - count)
      fail(cat("copy_channels: ", count, " channels from ", r.first, " on do not fit an image of ",
               r.channels));
}

void copy_channels(CpuStream& stream, int n, int hw, int count, const ChannelRange& from, In x,
                   const ChannelRange& to, Out y) {
  check_copy_channels(count, from, to);
  visit(x.dtype, [&](auto t) {
    using T = decltype(t);
    const T* const source = x.as<T>() + from.first;
    T* const destination = y.as<T>() + to.first;
    const int64_t pixels = int64_t(n) * hw, piece = std::max<int64_t>(1, kPiece / count);
    parallel_each(stream, div_up(pixels, piece), [=](int64_t i) {
      for (int64_t p = i * piece; p < std::min(pixels, (i + 1) * piece); ++p)
        std::memcpy(destination + p * to.channels, source + p * from.channels, size_t(count) * sizeof(T));
    });
  });
}

}  // namespace ito::kernels
