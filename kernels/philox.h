#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/bf16.h"  // ITO_HOST_DEVICE

/// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
/// SC'11). A number depends on its key and counter alone, so it is the same on CPU and GPU, for any batch split,
/// and a run resumes exactly without stored generator state.
namespace ito::kernels {

/// What a stream of numbers is for. Part of the counter, so that two uses never share a number.
enum class Purpose : uint32_t {
  init = 1, noise_level = 2, diffusion_noise = 3, flip = 4, order = 5, dropout = 6, condition_drop = 7,
  prior = 8, sampler_noise = 9, faces = 10, validation = 11, test = 63,
};

struct Philox4 { uint32_t v[4]; };

ITO_HOST_DEVICE inline Philox4 philox4x32_10(Philox4 counter, uint32_t key0, uint32_t key1) {
  uint32_t c0 = counter.v[0], c1 = counter.v[1], c2 = counter.v[2], c3 = counter.v[3];
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
    const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ key0, n2 = uint32_t(p0 >> 32) ^ c3 ^ key1;
    c1 = uint32_t(p1), c3 = uint32_t(p0), c0 = n0, c2 = n2;
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Names a stream: numbers differ between any two different (seed, purpose, step, sample).
/// seed: the run's or the image's; step < 2^32; sample < 2^32 (e.g. position in the step's batch).
struct RandomKey {
  uint64_t seed = 0;
  Purpose purpose = Purpose::test;
  uint32_t step = 0;
  uint32_t sample = 0;
};

/// Four 32-bit numbers: elements 4*block .. 4*block+3 of the stream.
ITO_HOST_DEVICE inline Philox4 random_block(const RandomKey& key, uint32_t block) {
  return philox4x32_10({{block, key.step, key.sample, uint32_t(key.purpose)}},
                       uint32_t(key.seed), uint32_t(key.seed >> 32));
}

/// Uniform in (0, 1): 24 bits and a half, never 0 and never 1.
ITO_HOST_DEVICE inline float uniform_open(uint32_t bits) { return (float(bits >> 8) + 0.5f) * (1.0f / 16777216.0f); }

/// Uniform in (0, 1) with 53 bits, for numbers drawn on the host once per sample (noise levels, initialisation).
inline double uniform_double(uint32_t hi, uint32_t lo) {
  const uint64_t bits = (uint64_t(hi) << 21) ^ (lo >> 11);
  return (double(bits) + 0.5) * (1.0 / 9007199254740992.0);
}

/// Four N(0,1) numbers of elements 4*block .. 4*block+3, by Box-Muller in f32: r = sqrt(-2 ln u1), r cos(2 pi u2), r sin(2 pi u2).
ITO_HOST_DEVICE inline void normal_block(const RandomKey& key, uint32_t block, float out[4]) {
  const Philox4 r = random_block(key, block);
  for (int pair = 0; pair < 2; ++pair) {
    const float radius = sqrtf(-2.0f * logf(uniform_open(r.v[2 * pair])));
    const float angle = 6.283185307179586f * uniform_open(r.v[2 * pair + 1]);
    out[2 * pair] = radius * cosf(angle);
    out[2 * pair + 1] = radius * sinf(angle);
  }
}

/// One uniform number with 53 bits: number `index` of the stream.
inline double random_uniform(const RandomKey& key, uint32_t index) {
  const Philox4 r = random_block(key, index >> 1);
  return (index & 1) ? uniform_double(r.v[2], r.v[3]) : uniform_double(r.v[0], r.v[1]);
}

/// One N(0,1) number in f64: number `index` of the stream.
inline double random_normal(const RandomKey& key, uint32_t index) {
  const Philox4 r = random_block(key, index);
  return std::sqrt(-2.0 * std::log(uniform_double(r.v[0], r.v[1]))) *
         std::cos(6.283185307179586476925 * uniform_double(r.v[2], r.v[3]));
}

/// Element `position` of a pseudo-random permutation of 0..count-1 chosen by (seed, epoch), in O(1): a four-round
/// Feistel network on the smallest even number of bits that holds count, walked until it falls inside (cycle walking).
ITO_HOST_DEVICE inline uint64_t permuted_index(uint64_t seed, uint32_t epoch, uint64_t position, uint64_t count) {
  int half = 1;
  while ((uint64_t(1) << (2 * half)) < count) ++half;
  const uint64_t mask = (uint64_t(1) << half) - 1;
  uint64_t x = position;
  do {
    uint64_t left = x >> half, right = x & mask;
    for (uint32_t round = 0; round < 4; ++round) {
      const Philox4 r = philox4x32_10({{uint32_t(right), uint32_t(right >> 32), round | (uint32_t(Purpose::order) << 26), epoch}},
                                      uint32_t(seed), uint32_t(seed >> 32));
      const uint64_t next = left ^ (r.v[0] & mask);
      left = right, right = next;
    }
    x = (left << half) | right;
  } while (x >= count);
  return x;
}

}  // namespace ito::kernels
