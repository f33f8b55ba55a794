#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/base/bf16.h"  // ITO_HOST_DEVICE
#include "kernels/base/vector_math.h"

/// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
/// SC'11). A number depends on its key and counter alone, so it is the same on CPU and GPU, for any batch
/// split, and a run resumes exactly without stored generator state.
namespace ito {

/// What a stream of numbers is for. Part of the counter, so that two uses never share a number.
enum class Purpose : uint32_t {
  init = 1,
  noise_level = 2,
  diffusion_noise = 3,
  flip = 4,
  order = 5,
  dropout = 6,
  condition_drop = 7,
  prior = 8,
  sampler_noise = 9,
  faces = 10,
  validation = 11,
  corrector_noise = 12,
  attribute_row = 13,
  noise_candidate = 14,
  input_noise = 15,
  augmentation = 16,
  sample_class = 17,
  variation = 18,
  test = 63,
};

struct Philox4 {
  uint32_t v[4];
};

inline constexpr uint32_t kPhiloxWeyl0 = 0x9E3779B9u, kPhiloxWeyl1 = 0xBB67AE85u;

/// One of the ten rounds; before each round but the first the keys grow by the Weyl constants.
ITO_HOST_DEVICE inline void philox_round(uint32_t& c0, uint32_t& c1, uint32_t& c2, uint32_t& c3,
                                         uint32_t key0, uint32_t key1) {
  const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
  c0 = uint32_t(p1 >> 32) ^ c1 ^ key0, c2 = uint32_t(p0 >> 32) ^ c3 ^ key1;
  c1 = uint32_t(p1), c3 = uint32_t(p0);
}

ITO_HOST_DEVICE inline Philox4 philox4x32_10(Philox4 counter, uint32_t key0, uint32_t key1) {
  uint32_t c0 = counter.v[0], c1 = counter.v[1], c2 = counter.v[2], c3 = counter.v[3];
  for (int round = 0; round < 10; ++round) {
    philox_round(c0, c1, c2, c3, key0, key1);
    key0 += kPhiloxWeyl0, key1 += kPhiloxWeyl1;
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
  return philox4x32_10({{block, key.step, key.sample, uint32_t(key.purpose)}}, uint32_t(key.seed),
                       uint32_t(key.seed >> 32));
}

/// Uniform in (0, 1): 23 bits and a half, which a float holds exactly; never 0 and never 1.
ITO_HOST_DEVICE inline float uniform_open(uint32_t bits) {
  return (float(int32_t(bits >> 9)) + 0.5f) * (1.0f / 8388608.0f);
}

/// Uniform in (0, 1), 52 bits and a half, for numbers drawn on the host once per sample (noise levels,
/// initialisation).
inline double uniform_double(uint32_t hi, uint32_t lo) {
  const uint64_t bits = (uint64_t(hi) << 20) ^ (lo >> 12);
  return (double(bits) + 0.5) * (1.0 / 4503599627370496.0);
}

/// Two independent N(0,1) numbers by Box-Muller in f32: sqrt(-2 ln u) (cos, sin)(2 pi v), |z| < 5.77. Free of
/// branches and library calls: each is within 4 ulp of the radius of the exact value, on any machine.
ITO_HOST_DEVICE inline void normal_pair(uint32_t u, uint32_t v, float* first, float* second) {
  const float radius = sqrtf(-2.0f * log_of(uniform_open(u)));
  float cosine, sine;
  cos_sin_of_turns(uniform_open(v), &cosine, &sine);
  *first = radius * cosine, *second = radius * sine;
}

/// Four N(0,1) numbers: elements 4*block .. 4*block+3 of the stream.
ITO_HOST_DEVICE inline void normal_block(const RandomKey& key, uint32_t block, float out[4]) {
  const Philox4 r = random_block(key, block);
  normal_pair(r.v[0], r.v[1], &out[0], &out[1]);
  normal_pair(r.v[2], r.v[3], &out[2], &out[3]);
}

/// One uniform number in f64: number `index` of the stream.
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

/// Element `position` of a pseudo-random permutation of 0..count-1 chosen by (seed, epoch), in O(1): a
/// four-round Feistel network on the smallest even number of bits that holds count, walked until it falls
/// inside (cycle walking).
ITO_HOST_DEVICE inline uint64_t permuted_index(uint64_t seed, uint32_t epoch, uint64_t position,
                                               uint64_t count) {
  int half = 1;
  while ((uint64_t(1) << (2 * half)) < count) ++half;
  const uint64_t mask = (uint64_t(1) << half) - 1;
  uint64_t x = position;
  do {
    uint64_t left = x >> half, right = x & mask;
    for (uint32_t round = 0; round < 4; ++round) {
      const Philox4 r = philox4x32_10(
          {{uint32_t(right), uint32_t(right >> 32), round | (uint32_t(Purpose::order) << 26), epoch}},
          uint32_t(seed), uint32_t(seed >> 32));
      const uint64_t next = left ^ (r.v[0] & mask);
      left = right, right = next;
    }
    x = (left << half) | right;
  } while (x >= count);
  return x;
}

}  // namespace ito
