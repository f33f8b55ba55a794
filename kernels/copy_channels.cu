#include "kernels/copy_channels.h"
#include "kernels/cuda_map.cuh"

// Each number is read once and written once: 4 bytes in bf16, 8 in f32.
namespace ito::kernels {

template <class T, int V>
__global__ void __launch_bounds__(kMapThreads)
    copy_channels_kernel(int hw, int count, ChannelRange from, const T* x, ChannelRange to, T* y) {
  const int64_t per_image = int64_t(hw) * count, image = blockIdx.y;
  map_elements<V>(per_image, [&](auto width, int64_t element) {
    const int i = int(element - image * per_image), pixel = i / count, channel = i - pixel * count;
    const T* const source = x + (image * hw + pixel) * from.channels + from.first + channel;
    store(y + (image * hw + pixel) * to.channels + to.first + channel, load<width.value>(source));
  });
}

void copy_channels(CudaStream& stream, int n, int hw, int count, const ChannelRange& from, In x,
                   const ChannelRange& to, Out y) {
  check_copy_channels(count, from, to);
  check_index("copy_channels", int64_t(hw) * count);
  visit_cuda("copy_channels", x.dtype, [&](auto t) {
    using T = decltype(t);
    constexpr int V = kPackWidth<T>;
    const bool packs =
        can_pack<V>({count, from.channels, from.first, to.channels, to.first}, x.as<T>(), y.as<T>());
    launch_map<V>("copy_channels", stream, n, int64_t(hw) * count, packs, copy_channels_kernel<T, V>,
                  copy_channels_kernel<T, 1>, hw, count, from, x.as<T>(), to, y.as<T>());
  });
}

}  // namespace ito::kernels
