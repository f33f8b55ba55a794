#include "kernels/random_fill.h"

#include <algorithm>

#include "kernels/base/math.h"

namespace ito::kernels {
namespace {

constexpr int kBlocks = 64;  // blocks at a time, or fewer at the end of a run

/// The integers of consecutive blocks, one array for each of a block's four.
struct Lanes {
  uint32_t v[4][kBlocks];
};

void random_blocks(const RandomKey& key, uint32_t first, int blocks, Lanes& lanes) {
  for (int i = 0; i < blocks; ++i) {
    lanes.v[0][i] = first + uint32_t(i), lanes.v[1][i] = key.step, lanes.v[2][i] = key.sample;
    lanes.v[3][i] = uint32_t(key.purpose);
  }
  uint32_t key0 = uint32_t(key.seed), key1 = uint32_t(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < blocks; ++i) {
      philox_round(lanes.v[0][i], lanes.v[1][i], lanes.v[2][i], lanes.v[3][i], key0, key1);
    }
    key0 += kPhiloxWeyl0, key1 += kPhiloxWeyl1;
  }
}

void normal_blocks(const Lanes& lanes, int blocks, float* z) {
  for (int i = 0; i < blocks; ++i) normal_pair(lanes.v[0][i], lanes.v[1][i], &z[4 * i], &z[4 * i + 1]);
  for (int i = 0; i < blocks; ++i) normal_pair(lanes.v[2][i], lanes.v[3][i], &z[4 * i + 2], &z[4 * i + 3]);
}

void uniform_blocks(const Lanes& lanes, int blocks, float* u) {
  for (int i = 0; i < blocks; ++i) {
    for (int k = 0; k < 4; ++k) u[4 * i + k] = uniform_open(lanes.v[k][i]);
  }
}

/// Covers [begin, begin + count) with whole blocks and copies the part that is asked for.
template <class Transform>
void fill(const RandomKey& key, int64_t begin, int64_t count, float* out, Transform transform) {
  Lanes lanes;
  float numbers[4 * kBlocks];
  for (int64_t at = begin / 4 * 4; at < begin + count; at += 4 * kBlocks) {
    const int64_t left = div_up(begin + count - at, 4);
    const int blocks = int(std::min<int64_t>(kBlocks, align_up(left, 8)));  // whole vectors
    random_blocks(key, uint32_t(at / 4), blocks, lanes);
    transform(lanes, blocks, numbers);
    const int64_t from = std::max(at, begin), to = std::min(at + 4 * blocks, begin + count);
    std::copy(numbers + (from - at), numbers + (to - at), out + (from - begin));
  }
}

}  // namespace

void fill_uniform(const RandomKey& key, int64_t begin, int64_t count, float* out) {
  fill(key, begin, count, out, uniform_blocks);
}

void fill_normal(const RandomKey& key, int64_t begin, int64_t count, float* out) {
  fill(key, begin, count, out, normal_blocks);
}

}  // namespace ito::kernels
