#pragma once

#include "kernels/cuda_map.cuh"
#include "kernels/sde_denoise.h"

/// The denoised image D_0 and the networks' next inputs on a GPU.
namespace ito::kernels {

/// SdeDenoiseOperands, their types known.
template <class F>
struct SdeDenoiseArguments {
  const float* x;
  const F *f, *guide_f;
  const float* limit;

  explicit SdeDenoiseArguments(const SdeDenoiseOperands& o)
      : x(o.x.as<float>()), f(o.f.as<F>()), guide_f(o.guide_f.as<F>()), limit(o.limit.as<float>()) {}
};

/// What is loaded for D_0 of V elements from `at` on; 0 where there is no network.
template <class F, int V>
struct SdeDenoiseValues {
  Pack<float, V> x{};
  Pack<F, V> f{}, guide_f{};

  __device__ SdeDenoiseValues(const SdeDenoiseArguments<F>& from, int64_t at) {
    if (!from.f) return;
    x = load<V>(from.x + at), f = load<V>(from.f + at);
    if (from.guide_f) guide_f = load<V>(from.guide_f + at);
  }
  /// D_0 of these elements without a limit; 0 where there is no network.
  __device__ Pack<float, V> unlimited(const SdeDenoiseArguments<F>& from,
                                      const SdeDenoise<float>& numbers) const {
    Pack<float, V> d{};
    if (!from.f) return d;
    if (from.guide_f)
      for (int i = 0; i < V; ++i) d.v[i] = numbers.guided(x.v[i], float(f.v[i]), float(guide_f.v[i]));
    else
      for (int i = 0; i < V; ++i) d.v[i] = numbers.alone(x.v[i], float(f.v[i]));
    return d;
  }
  /// D_0 of these elements of `image`.
  __device__ Pack<float, V> denoised(const SdeDenoiseArguments<F>& from, const SdeDenoise<float>& numbers,
                                     int64_t image) const {
    Pack<float, V> d = unlimited(from, numbers);
    if (!from.limit) return d;
    const float limit = from.limit[image];
    for (int i = 0; i < V; ++i) d.v[i] = limited(d.v[i], limit);
    return d;
  }
};

/// Where a network's next input goes.
template <class Next>
struct SdeNextArguments {
  Next* next_in;
  float* next_c_noise;

  explicit SdeNextArguments(const SdeNetworkOperands& o)
      : next_in(o.next_in.as<Next>()), next_c_noise(o.next_c_noise.as<float>()) {}

  /// The next input from V elements of x'.
  template <int V>
  __device__ void write(const SdeNetwork& numbers, int64_t at, const Pack<float, V>& x) const {
    if (!next_in) return;
    Pack<Next, V> next;
    for (int i = 0; i < V; ++i) next.v[i] = narrow<Next>(numbers.next_scale * x.v[i]);
    store(next_in + at, next);
  }
  /// An image's condition; one thread an image calls it.
  __device__ void write_condition(const SdeNetwork& numbers, int64_t image) const {
    if (next_c_noise) next_c_noise[image] = numbers.next_c_noise;
  }
};

/// Calls f(F{}, Next{}) with the types of the networks' outputs and next inputs.
template <class Use>
void visit_sde_types(const char* op, const SdeNetworkOperands& network, Use&& use) {
  visit_cuda(op, network.f.dtype,
             [&](auto f) { visit_cuda(op, network.next_in.dtype, [&](auto next) { use(f, next); }); });
}

}  // namespace ito::kernels
