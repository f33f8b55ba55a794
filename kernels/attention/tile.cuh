#pragma once

#include "kernels/attention.h"
#include "kernels/attention/multiply.cuh"
#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"

/// How attention's work is cut. A block owns kOwn rows (tokens) of one head and one chunk of kWidth channels
/// of its result; it walks over the head's tokens again, kOther rows at a time. Products over a head's width
/// are sums over chunks of kWidth channels as well, so any width fits; a head of at most kWidth channels has
/// one chunk, and what its block owns is read once.
namespace ito::kernels::attention {

struct Tiling {
  int tokens, channels, heads, width;
  int tiles, chunks;  // of a head
  float scale;        // 1 / sqrt(width)
  bool packs;         // whether every operand allows packs of 16 bytes
};

/// A block's part of the work.
struct TilePosition {
  int64_t head, base;  // number of the head; its first element in [N,T,C]
  int first, channel;  // own token, own channel of the result

  __device__ TilePosition(const Tiling& tiling, int width) {
    const int64_t block = blockIdx.x, tile = block / tiling.chunks;
    channel = int(block % tiling.chunks) * width;
    first = int(tile % tiling.tiles) * kOwn;
    head = tile / tiling.tiles;
    base = head / tiling.heads * tiling.tokens * tiling.channels + head % tiling.heads * tiling.width;
  }
};

/// Rows first.. and channels channel.. of a head into shared memory; zeros where it has no such rows or
/// channels.
template <int kWidth, int kRows, class T>
__device__ void load_tile(const Tiling& tiling, const T* x, int64_t base, int first, int channel,
                          const SharedArray<T>& tile) {
  const auto copy = [&](auto pack_width) {
    constexpr int V = decltype(pack_width)::value, kColumns = kWidth / V;
    static_assert(kWidth % V == 0, "a row of a tile is whole packs");
#pragma unroll 2  // all the loads of a tile in flight at once would cost 60 registers
    for (int i = int(threadIdx.x); i < kRows * kColumns; i += kThreads) {
      const int row = i / kColumns, column = i % kColumns * V;
      Pack<T, V> pack{};
      if (first + row < tiling.tokens && channel + column < tiling.width)
        pack = load<V>(x + base + int64_t(first + row) * tiling.channels + channel + column);
      store_shared(&tile[row * kPitch<T, kWidth> + column], pack);
    }
  };
  if (tiling.packs)
    copy(Constant<kPackWidth<T>>{});
  else
    copy(Constant<1>{});
}

/// scores[own, other] = sum over the head's width of a[own, :] b[other, :]. `own` keeps the rows of `a` from
/// one call to the next where they are one chunk.
template <int kWidth, class T>
__device__ void multiply_rows(const Tiling& tiling, const TilePosition& position, const T* a,
                              const SharedArray<T>& own, const T* b, const SharedArray<T>& other, int first,
                              Scores& scores) {
  for (int channel = 0; channel < tiling.width; channel += kWidth) {
    __syncthreads();
    if (first == 0 || tiling.chunks > 1)
      load_tile<kWidth, kOwn>(tiling, a, position.base, position.first, channel, own);
    load_tile<kWidth, kOther>(tiling, b, position.base, first, channel, other);
    __syncthreads();
    add_rows_product<kWidth>(own, other, scores);
  }
}

/// result[own, :] += p[own, other] b[other, :], over the block's chunk of channels.
template <int kWidth, class T>
__device__ void accumulate(const Tiling& tiling, const TilePosition& position, const Scores& p, const T* b,
                           const SharedArray<T>& other, int first, Result<kWidth>& result) {
  __syncthreads();
  load_tile<kWidth, kOther>(tiling, b, position.base, first, position.channel, other);
  __syncthreads();
  add_product<kWidth>(p, other, result);
}

/// The two of the block's own rows that a thread has elements of: half 0 and half 1.
__device__ inline int row_of(int half) {
  return int(threadIdx.x) / kWarpSize * kWarpRows + int(threadIdx.x) % kWarpSize / 4 + 8 * half;
}
/// The column of a thread's element e of group j, in scores and in results.
__device__ inline int column_of(int j, int e) { return 8 * j + 2 * (int(threadIdx.x) % 4) + e % 2; }

/// y[own rows, own channels] = result * factor of the row.
template <int kWidth, class T>
__device__ void write_rows(const Tiling& tiling, const TilePosition& position, const Result<kWidth>& result,
                           const float (&factor)[2], T* y) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = position.first + row_of(half);
    if (token >= tiling.tokens) continue;
    T* const row = y + position.base + int64_t(token) * tiling.channels;
#pragma unroll
    for (int j = 0; j < kWidth / 8; ++j) {
      const int channel = position.channel + column_of(j, 0);
      const Pack<T, 2> pair{
          {narrow<T>(result[j][2 * half] * factor[half]), narrow<T>(result[j][2 * half + 1] * factor[half])}};
      if (tiling.packs && channel < tiling.width) store(row + channel, pair);
      if (tiling.packs) continue;
      for (int e = 0; e < 2; ++e)
        if (channel + e < tiling.width) row[channel + e] = pair.v[e];
    }
  }
}

/// Sum and maximum over the four neighbouring lanes that share a row, the same bits in each of them.
__device__ inline float quad_sum(float value) {
  for (int distance = 1; distance < 4; distance *= 2) value += __shfl_xor_sync(~0u, value, distance);
  return value;
}
__device__ inline float quad_max(float value) {
  for (int distance = 1; distance < 4; distance *= 2)
    value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

/// What the backward pass needs to know of a query: lse, and delta = dy . y over the head, which is rowsum(dP P).
/// Queries beyond the last token add nothing, whatever their probabilities: their q and dy are zeros. The four lanes of
/// a row construct it together.
struct Query {
  float lse, delta;

  template <class T>
  __device__ Query(const Tiling& tiling, const TilePosition& position, const T* dy, const T* y,
                   const float* lses, int token) {
    const bool exists = token < tiling.tokens;
    const int64_t row = position.base + int64_t(token) * tiling.channels;
    lse = exists ? lses[position.head * tiling.tokens + token] : 0.0f;
    delta = 0;
    if (exists) add(tiling, dy + row, y + row);
    delta = quad_sum(delta);
  }

 private:
  /// The lane's share of a row's products: every fourth pack, whether read as one or element by element.
  template <class T>
  __device__ void add(const Tiling& tiling, const T* dy, const T* y) {
    constexpr int V = kPackWidth<T>;
    for (int c = int(threadIdx.x) % 4 * V; c < tiling.width; c += 4 * V) {
      Pack<T, V> a{}, b{};
      if (tiling.packs)
        a = load<V>(dy + c), b = load<V>(y + c);
      else
        for (int i = 0; i < V && c + i < tiling.width; ++i) a.v[i] = dy[c + i], b.v[i] = y[c + i];
      const Pack<float, V> left = widen(a), right = widen(b);
      for (int i = 0; i < V; ++i) delta += left.v[i] * right.v[i];
    }
  }
};

}  // namespace ito::kernels::attention
