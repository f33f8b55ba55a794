#pragma once

#include <algorithm>

#include "kernels/sde_update.h"

/// The denoised image D_0 and the networks' next inputs, for the kernels that compute either: the arithmetic, and its
/// loops on a CPU. sde_denoise.cuh has what a GPU needs besides.
namespace ito::kernels {

/// The numbers of D_0, in the arithmetic of the state.
template <class A>
struct SdeDenoise {
  A skip, out, guide_skip, guide_out, guidance;

  /// step: an SdeStep or a LangevinStep.
  template <class Step>
  ITO_HOST_DEVICE explicit SdeDenoise(const Step& step)
      : skip(A(step.network.skip)),
        out(A(step.network.out)),
        guide_skip(A(step.guide.skip)),
        guide_out(A(step.guide.out)),
        guidance(A(step.guidance)) {}

  ITO_HOST_DEVICE A alone(A x, A f) const { return skip * x + out * f; }
  ITO_HOST_DEVICE A guided(A x, A f, A guide_f) const {
    const A from = guide_skip * x + guide_out * guide_f;
    return from + guidance * (skip * x + out * f - from);
  }
};

/// d clamped to [-limit, limit], over limit. A NaN fails both comparisons and stays, which fmin and fmax would hide.
template <class A>
ITO_HOST_DEVICE inline A limited(A d, A limit) {
  d = d > limit ? limit : d;
  d = d < -limit ? -limit : d;
  return d / limit;
}

/// What D_0 is computed from: [N,D] each, and limit [N]. guide_f and limit may be null.
struct SdeDenoiseOperands {
  In x, f, guide_f, limit;
};

/// Error: networks' operands that do not fit together, x being where they were asked; `op` names the kernel.
void check_sde_networks(const char* op, In x, const SdeNetworkOperands& network,
                        const SdeNetworkOperands& guide, In limit);

/// What CPU kernels of a sampler work on at a time: elements, in the first-level cache, of one image.
struct SdeTile {
  static constexpr int kMost = 2048;
  int image, begin, count;  // elements begin .. begin + count - 1 of the image
  int64_t at;               // element `begin` in the whole tensor

  SdeTile(int per_image, int64_t tile)
      : image(int(tile / tiles_of(per_image))),
        begin(int(tile % tiles_of(per_image)) * kMost),
        count(std::min(kMost, per_image - begin)),
        at(int64_t(image) * per_image + begin) {}
  /// Tiles of an image.
  static int64_t tiles_of(int per_image) { return (int64_t(per_image) + kMost - 1) / kMost; }
};

/// d = D_0 of a tile.
template <class A>
void denoise_tile(const SdeDenoise<A>& numbers, const SdeDenoiseOperands& o, const SdeTile& tile,
                  A* __restrict d) {
  const A* __restrict x = o.x.as<A>() + tile.at;
  visit(o.f.dtype, [&](auto type) {
    using T = decltype(type);
    const T* __restrict f = o.f.as<T>() + tile.at;
    if (!o.guide_f) {
      for (int i = 0; i < tile.count; ++i) d[i] = numbers.alone(x[i], A(arithmetic_t<T>(f[i])));
      return;
    }
    const T* __restrict guide_f = o.guide_f.as<T>() + tile.at;
    for (int i = 0; i < tile.count; ++i)
      d[i] = numbers.guided(x[i], A(arithmetic_t<T>(f[i])), A(arithmetic_t<T>(guide_f[i])));
  });
  if (!o.limit) return;
  const A limit = o.limit.as<A>()[tile.image];
  for (int i = 0; i < tile.count; ++i) d[i] = limited(d[i], limit);
}

/// A network's next input from a tile of x', if it is wanted, and with an image's first tile its condition.
template <class A>
void write_next(const SdeNetwork& numbers, const SdeTile& tile, const A* __restrict x,
                const SdeNetworkOperands& network) {
  if (network.next_c_noise && tile.begin == 0)
    network.next_c_noise.as<float>()[tile.image] = numbers.next_c_noise;
  if (!network.next_in) return;
  visit(network.next_in.dtype, [&](auto type) {
    using T = decltype(type);
    T* __restrict next = network.next_in.as<T>() + tile.at;
    for (int i = 0; i < tile.count; ++i) next[i] = T(arithmetic_t<T>(A(numbers.next_scale) * x[i]));
  });
}

}  // namespace ito::kernels
