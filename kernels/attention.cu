#include <algorithm>
#include <initializer_list>

#include "kernels/attention.h"
#include "kernels/attention/tile.cuh"
#include "kernels/base/math.h"
#include "kernels/cuda_dispatch.h"

/// Online softmax (Dao et al., arXiv:2205.14135; backward from the row's log-sum-exp, arXiv:2307.08691).
/// Nothing of size T x T is stored. Global memory, per tile of kOwn rows: the other operands are read once,
/// so T/64 times in all, from the L2 cache beyond the first; results are written once.
namespace ito::kernels::attention {

template <class T>
struct Forward {
  const T *q, *k, *v;
  T* y;
  float* lse;
};

/// What a thread knows of its two rows while it walks over the keys: the largest score so far, and its share
/// of the sum of e^(score - largest).
struct Softmax {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {};

  /// Scores become e^(score - largest); `result` follows where the largest grows.
  template <int kWidth>
  __device__ void update(Scores& scores, Result<kWidth>& result) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float most = largest[half];
#pragma unroll
      for (int j = 0; j < kOther / 8; ++j)
        most = fmaxf(most, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
      most = quad_max(most);
      const float shrink = expf(largest[half] - most);
      largest[half] = most;
      sum[half] *= shrink;
#pragma unroll
      for (int j = 0; j < kWidth / 8; ++j)
        for (int e = 2 * half; e < 2 * half + 2; ++e) result[j][e] *= shrink;
#pragma unroll
      for (int j = 0; j < kOther / 8; ++j)
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          scores[j][e] = expf(scores[j][e] - most);
          sum[half] += scores[j][e];
        }
    }
  }
};

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, kBlocks)
    attention_forward_kernel(Tiling tiling, Forward<T> args) {
  SharedMemory shared;
  const auto own = shared.take<T>(kOwn * kPitch<T, kWidth>);
  const auto other = shared.take<T>(kOther * kPitch<T, kWidth>);
  const TilePosition position(tiling, kWidth);
  Softmax softmax;
  Result<kWidth> result{};
  for (int first = 0; first < tiling.tokens; first += kOther) {
    Scores scores{};
    multiply_rows<kWidth>(tiling, position, args.q, own, args.k, other, first, scores);
#pragma unroll
    for (int j = 0; j < kOther / 8; ++j)
      for (int e = 0; e < 4; ++e)
        scores[j][e] = first + column_of(j, e) < tiling.tokens ? scores[j][e] * tiling.scale : -INFINITY;
    softmax.update<kWidth>(scores, result);
    accumulate<kWidth>(tiling, position, scores, args.v, other, first, result);
  }
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float sum = quad_sum(softmax.sum[half]);
    inverse[half] = 1 / sum;
    const int token = position.first + row_of(half);
    if (position.channel == 0 && threadIdx.x % 4 == 0 && token < tiling.tokens)
      args.lse[position.head * tiling.tokens + token] = softmax.largest[half] + logf(sum);
  }
  write_rows<kWidth>(tiling, position, result, inverse, args.y);
}

template <class T>
struct Backward {
  const T *dy, *q, *k, *v, *y;
  const float* lse;
  T *dq, *dk, *dv;
};

/// dq: the block owns queries and walks over keys.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, kBlocks)
    attention_backward_queries_kernel(Tiling tiling, Backward<T> args) {
  SharedMemory shared;
  const auto own_q = shared.take<T>(kOwn * kPitch<T, kWidth>);
  const auto own_dy = shared.take<T>(kOwn * kPitch<T, kWidth>);
  const auto other = shared.take<T>(kOther * kPitch<T, kWidth>);
  const TilePosition position(tiling, kWidth);
  const Query queries[2] = {{tiling, position, args.dy, args.y, args.lse, position.first + row_of(0)},
                            {tiling, position, args.dy, args.y, args.lse, position.first + row_of(1)}};
  Result<kWidth> dq{};
  for (int first = 0; first < tiling.tokens; first += kOther) {
    Scores scores{}, dp{};
    multiply_rows<kWidth>(tiling, position, args.q, own_q, args.k, other, first, scores);
    multiply_rows<kWidth>(tiling, position, args.dy, own_dy, args.v, other, first, dp);
#pragma unroll
    for (int j = 0; j < kOther / 8; ++j)
      for (int e = 0; e < 4; ++e) {
        const Query& query = queries[e / 2];
        const bool exists = first + column_of(j, e) < tiling.tokens;
        const float p = exists ? expf(scores[j][e] * tiling.scale - query.lse) : 0.0f;
        dp[j][e] = p * (dp[j][e] - query.delta);
      }
    accumulate<kWidth>(tiling, position, dp, args.k, other, first, dq);
  }
  write_rows<kWidth>(tiling, position, dq, {tiling.scale, tiling.scale}, args.dq);
}

/// dk and dv: the block owns keys and walks over queries, so P and dS are transposed.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, kBlocks)
    attention_backward_keys_kernel(Tiling tiling, Backward<T> args) {
  static_assert(kThreads == 4 * kOther,
                "four lanes construct a query's row, and all rows are constructed at once");
  SharedMemory shared;
  const auto own_k = shared.take<T>(kOwn * kPitch<T, kWidth>);
  const auto own_v = shared.take<T>(kOwn * kPitch<T, kWidth>);
  const auto other = shared.take<T>(kOther * kPitch<T, kWidth>);
  const auto lse = shared.take<float>(kOther), delta = shared.take<float>(kOther);
  const TilePosition position(tiling, kWidth);
  Result<kWidth> dk{}, dv{};
  for (int first = 0; first < tiling.tokens; first += kOther) {
    const int row = int(threadIdx.x) / 4;
    const Query query(tiling, position, args.dy, args.y, args.lse, first + row);
    if (threadIdx.x % 4 == 0) lse[row] = query.lse, delta[row] = query.delta;
    Scores p{}, ds{};
    multiply_rows<kWidth>(tiling, position, args.k, own_k, args.q, other, first, p);
    multiply_rows<kWidth>(tiling, position, args.v, own_v, args.dy, other, first, ds);
#pragma unroll
    for (int j = 0; j < kOther / 8; ++j)
      for (int e = 0; e < 4; ++e) {
        p[j][e] = expf(p[j][e] * tiling.scale - lse[column_of(j, e)]);
        ds[j][e] = p[j][e] * (ds[j][e] - delta[column_of(j, e)]);
      }
    accumulate<kWidth>(tiling, position, p, args.dy, other, first, dv);
    accumulate<kWidth>(tiling, position, ds, args.q, other, first, dk);
  }
  write_rows<kWidth>(tiling, position, dv, {1, 1}, args.dv);
  write_rows<kWidth>(tiling, position, dk, {tiling.scale, tiling.scale}, args.dk);
}

// ---- launches ----

template <class T, int kWidth>
Tiling make_tiling(const AttentionDims& d, std::initializer_list<const void*> operands) {
  const int width = d.head_width();
  return {d.tokens,
          d.channels,
          d.heads,
          width,
          div_up(d.tokens, kOwn),
          div_up(width, kWidth),
          float(1 / std::sqrt(double(width))),
          are_aligned(operands) && are_whole_packs<kPackWidth<T>>({width})};
}

/// own_tiles: tensors of which a block keeps its own rows.
template <class T, int kWidth>
LaunchConfig make_config(const AttentionDims& d, const Tiling& tiling, int own_tiles,
                         size_t more_shared = 0) {
  static_assert(
      kBlocks * (2 * kOwn + kOther) * kPitch<T, kWidth> * sizeof(T) <= 220 * 1024,
      "kBlocks blocks of two own tiles share a multiprocessor's 227 KB, some of it for lse and delta");
  LaunchConfig config;
  config.grid = dim3(unsigned(int64_t(d.n) * d.heads * tiling.tiles * tiling.chunks));
  config.block = dim3(kThreads);
  config.shared_bytes = own_tiles * shared_size<T>(kOwn * kPitch<T, kWidth>) +
                        shared_size<T>(kOther * kPitch<T, kWidth>) + more_shared;
  return config;
}

/// Calls f with the element type and the width of a chunk as constants.
template <class F>
void visit_chunks(const AttentionDims& d, DType dtype, F&& f) {
  check_attention(d);
  visit_cuda("attention", dtype, [&](auto type) {
    const int width = d.head_width();
    if (width <= 16) return f(type, Constant<16>{});
    if (width <= 32) return f(type, Constant<32>{});
    f(type, Constant<64>{});
  });
}

}  // namespace ito::kernels::attention

namespace ito::kernels {

void attention_forward(CudaStream& stream, const AttentionDims& d, const AttentionInputs& in, Out y,
                       Out lse) {
  using namespace attention;
  visit_chunks(d, in.q.dtype, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int kWidth = decltype(width)::value;
    const Forward<T> args{
        .q = in.q.as<T>(), .k = in.k.as<T>(), .v = in.v.as<T>(), .y = y.as<T>(), .lse = lse.as<float>()};
    const Tiling tiling = make_tiling<T, kWidth>(d, {args.q, args.k, args.v, args.y});
    launch(attention_forward_kernel<T, kWidth>, make_config<T, kWidth>(d, tiling, 1), stream, tiling, args);
  });
}

void attention_backward(CudaStream& stream, const AttentionDims& d, const AttentionInputs& in, In dy, In y,
                        In lse, const AttentionGradients& out) {
  using namespace attention;
  visit_chunks(d, in.q.dtype, [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int kWidth = decltype(width)::value;
    const Backward<T> args{.dy = dy.as<T>(),
                           .q = in.q.as<T>(),
                           .k = in.k.as<T>(),
                           .v = in.v.as<T>(),
                           .y = y.as<T>(),
                           .lse = lse.as<float>(),
                           .dq = out.dq.as<T>(),
                           .dk = out.dk.as<T>(),
                           .dv = out.dv.as<T>()};
    const Tiling tiling =
        make_tiling<T, kWidth>(d, {args.dy, args.q, args.k, args.v, args.y, args.dq, args.dk, args.dv});
    launch(attention_backward_queries_kernel<T, kWidth>, make_config<T, kWidth>(d, tiling, 2), stream, tiling,
           args);
    launch(attention_backward_keys_kernel<T, kWidth>,
           make_config<T, kWidth>(d, tiling, 2, 2 * shared_size<float>(kOther)), stream, tiling, args);
  });
}

}  // namespace ito::kernels
