#pragma once

#include <cmath>

#include "bench/plain_passes.h"
#include "kernels/adamw_step.h"

/// The passes themselves, for both devices: pass.of(n) gives what is done to an element of sample n, and a
/// device's each(samples, per_sample, pass) does it to all.
namespace ito::bench {

struct GatherPass {
  PlainBatch b;
  int size;
  ITO_HOST_DEVICE auto of(int n) const {
    const uint8_t* const from = b.pixels + b.recipes[n].image * uint64_t(size);
    uint8_t* const to = b.chosen + int64_t(n) * size;
    return [=](int64_t e) { to[e] = from[e]; };
  }
};

struct MirrorPass {
  PlainBatch b;
  int size;
  ITO_HOST_DEVICE auto of(int n) const {
    const uint8_t* const from = b.chosen + int64_t(n) * size;
    float* const to = b.x0 + int64_t(n) * size;
    const int w = b.dims.w, c = b.dims.c;
    const bool flip = b.recipes[n].flip != 0;
    return [=](int64_t e) {
      const int column = int(e) / c % w;
      to[e] = float(from[flip ? int(e) + (w - 1 - 2 * column) * c : int(e)]) / 127.5f - 1.0f;
    };
  }
};

/// Of four neighbouring elements, which one block of random bits gives.
struct NoisePass {
  PlainBatch b;
  int size;
  ITO_HOST_DEVICE auto of(int n) const {
    const RandomKey key{b.dims.seed, b.dims.purpose, *b.dims.step, b.recipes[n].noise_sample};
    float* const to = b.z + int64_t(n) * size;
    return [=, count = size](int64_t block) {
      float z[4];
      normal_block(key, uint32_t(block), z);
      for (int k = 0; k < 4 && 4 * block + k < count; ++k) to[4 * block + k] = z[k];
    };
  }
};

template <class T>
struct MixPass {
  PlainBatch b;
  int size;
  T* result;
  bool target;
  ITO_HOST_DEVICE auto of(int n) const {
    const kernels::SampleRecipe& r = b.recipes[n];
    const float of_x0 = target ? r.target_x0 : r.input_x0, of_z = target ? r.target_z : r.input_z;
    const float *const x0 = b.x0 + int64_t(n) * size, *const z = b.z + int64_t(n) * size;
    T* const to = result + int64_t(n) * size;
    return [=](int64_t e) { to[e] = T(of_x0 * x0[e] + of_z * z[e]); };
  }
};

template <class Each>
void run_batch_passes(const PlainBatch& b, Each each) {
  const int n = b.dims.n, size = b.dims.h * b.dims.w * b.dims.c;
  each(n, size, GatherPass{b, size});
  each(n, size, MirrorPass{b, size});
  each(n, (size + 3) / 4, NoisePass{b, size});
  if (b.input.dtype == kernels::DType::bf16)
    each(n, size, MixPass<bf16>{b, size, b.input.as<bf16>(), false});
  else
    each(n, size, MixPass<float>{b, size, b.input.as<float>(), false});
  each(n, size, MixPass<float>{b, size, b.target.as<float>(), true});
}

enum class AdamWPart { clip, first, second, weights, average, half };

/// The arithmetic of AdamWStep::update, a part of it.
template <AdamWPart part>
struct AdamWPass {
  PlainAdamW a;
  ITO_HOST_DEVICE auto of(int) const {
    const kernels::AdamWStep step(a.options, *a.input, *a.state);
    return [step, g = a.clipped, b = a.buffers](int64_t i) {
      if constexpr (part == AdamWPart::clip) g[i] = b.grad[i] * step.scale;
      if constexpr (part == AdamWPart::first) b.m[i] += (1.0f - step.beta1) * (g[i] - b.m[i]);
      if constexpr (part == AdamWPart::second) b.v[i] += (1.0f - step.beta2) * (g[i] * g[i] - b.v[i]);
      if constexpr (part == AdamWPart::weights) {
        const float decay = b.flags[i / kernels::kParameterAlign] & kernels::kDecayed ? step.decay : 0.0f;
        b.w[i] -= step.rate * b.m[i] / (sqrtf(b.v[i]) * step.second + step.eps) + decay * b.w[i];
      }
      if constexpr (part == AdamWPart::average)
        b.ema[i] = step.copies ? b.w[i] : b.ema[i] + step.ema_rest * (b.w[i] - b.ema[i]);
      if constexpr (part == AdamWPart::half) b.half[i] = bf16(b.w[i]);
    };
  }
};

template <class Each>
void run_adamw_passes(const PlainAdamW& a, Each each) {
  each(1, a.count, AdamWPass<AdamWPart::clip>{a});
  each(1, a.count, AdamWPass<AdamWPart::first>{a});
  each(1, a.count, AdamWPass<AdamWPart::second>{a});
  each(1, a.count, AdamWPass<AdamWPart::weights>{a});
  each(1, a.count, AdamWPass<AdamWPart::average>{a});
  if (a.buffers.half) each(1, a.count, AdamWPass<AdamWPart::half>{a});
}

}  // namespace ito::bench
