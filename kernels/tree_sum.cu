#include "kernels/cuda_map.cuh"
#include "kernels/tree_sum.h"

// A result costs 4 (parts + 1) bytes: every part read, the sum written. A thread reads 8 parts at a time, so that 8
// accesses are under way, and keeps what waits for its right half in registers.
namespace ito::kernels {

inline constexpr int kTogether = 8;
/// Of the tree above sums of 8: a level for each power of two up to the most parts.
inline constexpr int kUpperLevels = 8;
static_assert(kTogether << (kUpperLevels - 1) == kMostTreeParts, "every number of parts has its levels");

/// sum = left + sum
template <int V>
__device__ inline void add(const Pack<float, V>& left, Pack<float, V>& sum) {
#pragma unroll
  for (int e = 0; e < V; ++e) sum.v[e] = left.v[e] + sum.v[e];
}

/// The tree over the first `parts` of 8: neighbours are added level by level, and what has none moves up as it is.
template <int V>
__device__ inline Pack<float, V> sum_of(int parts, int64_t stride, const float* from) {
  Pack<float, V> x[kTogether];
#pragma unroll
  for (int p = 0; p < kTogether; ++p)
    if (p < parts) x[p] = load<V>(from + p * stride);
#pragma unroll
  for (int half = 1; half < kTogether; half *= 2)
#pragma unroll
    for (int p = 0; p < kTogether; p += 2 * half)
      if (p + half < parts) add(x[p + half], x[p]);
  return x[0];
}

/// The tree over all parts. Sums that wait for their right half are counted as a binary number counts them: after b
/// sums of 8 there is one of 8 * 2^k neighbours for each bit k of b. In the end those that are left are combined from
/// the right, which is the tree's rule for numbers that are no power of two.
template <int V>
__device__ inline Pack<float, V> sum_all(int parts, int64_t stride, const float* from) {
  Pack<float, V> waiting[kUpperLevels], sum;
  const int whole = parts / kTogether, rest = parts % kTogether;
  for (int b = 0; b < whole; ++b) {
    sum = sum_of<V>(kTogether, stride, from + b * kTogether * stride);
    // The sum's place is at the first bit that is 0. Going on fills free places above, which are filled again before
    // they are read; to stop here would put the sums into local memory.
#pragma unroll
    for (int level = 0; level < kUpperLevels; ++level) {
      if (b >> level & 1)
        add(waiting[level], sum);
      else
        waiting[level] = sum;
    }
  }
  bool any = rest > 0;
  if (any) sum = sum_of<V>(rest, stride, from + whole * kTogether * stride);
#pragma unroll
  for (int level = 0; level < kUpperLevels; ++level) {
    const bool waits = whole >> level & 1;
    if (waits && any)
      add(waiting[level], sum);
    else if (waits)
      sum = waiting[level];
    any = any || waits;
  }
  return sum;
}

/// kMany: more parts than are read at a time. Without them it needs half the registers, and a multiprocessor holds
/// twice the threads.
template <int V, bool kMany>
__global__ void __launch_bounds__(kMapThreads)
    tree_sum_kernel(int parts, int64_t stride, int64_t count, const float* from, float* to) {
  map_elements<V>(count, [&](auto width, int64_t i) {
    constexpr int W = width.value;
    store(to + i, kMany ? sum_all<W>(parts, stride, from + i) : sum_of<W>(parts, stride, from + i));
  });
}

void tree_sum(CudaStream& stream, int parts, int64_t stride, int64_t count, const float* from, float* to) {
  check_tree_sum(parts, stride, count);
  if (count == 0) return;
  visit_width<kPackWidth<float>>(can_pack<kPackWidth<float>>({stride}, from, to), [&](auto width) {
    constexpr int V = width.value;
    launch(parts > kTogether ? tree_sum_kernel<V, true> : tree_sum_kernel<V, false>,
           map_config("tree_sum", 1, count, V), stream, parts, stride, count, from, to);
  });
}

}  // namespace ito::kernels
