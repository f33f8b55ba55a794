#pragma once

#include <cstddef>

#include "kernels/base/math.h"
#include "kernels/conv2d/vec.h"

/// The inner loops of matrix products whose operands already lie in the cache, in lines of 16 floats.
namespace ito::kernels::conv2d {

/// Rows of the result that stay in registers while the depth is summed: with 6 rows of 2 vectors 4 of AVX2's
/// 16 registers are left for the operands; 12 rows of 1 vector keep AVX-512's two multipliers busy.
constexpr int kRows = kLineVecs == 2 ? 6 : 12;

/// sum[i] += sum_p a[i * a_row + p * a_depth] * line p of b, for p < depth.
template <int rows>
[[gnu::always_inline]] inline void add_products(Vec (&sum)[rows][kLineVecs], int depth, const float* a,
                                                ptrdiff_t a_row, ptrdiff_t a_depth, const float* b) {
  for (int p = 0; p < depth; ++p, a += a_depth, b += kLine) {
    Vec right[kLineVecs];
#pragma GCC unroll 2
    for (int j = 0; j < kLineVecs; ++j) right[j] = load(b + j * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const float left = a[i * a_row];
#pragma GCC unroll 2
      for (int j = 0; j < kLineVecs; ++j) sum[i][j] += left * right[j];
    }
  }
}

/// f.template operator()<n>() for n = count <= most.
template <int most, class F>
[[gnu::always_inline]] inline void with_constant(int count, F&& f) {
  if constexpr (most > 0) {
    if (count == most) return f.template operator()<most>();
    with_constant<most - 1>(count, f);
  }
}

/// f<rows>(first) for as equal groups of at most kRows as can be: 16 is 5+5+6, because a group of two or
/// three would leave the multipliers idle. No sum depends on the grouping.
template <class F>
[[gnu::always_inline]] inline void for_row_groups(int rows, F&& f) {
  const int groups = div_up(rows, kRows);
  for (int group = 0; group < groups; ++group) {
    const int first = rows * group / groups, count = rows * (group + 1) / groups - first;
    with_constant<kRows>(count, [&]<int n>() { f.template operator()<n>(first); });
  }
}

/// c += a^T b for kLine columns of each: a [depth][kLine], b [depth][kLine], c [kLine][kLine].
inline void add_square(int depth, const float* a, const float* b, float* c) {
  for_row_groups(kLine, [&]<int rows>(int first) {
    float* const to = c + first * kLine;
    Vec sum[rows][kLineVecs];
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < kLineVecs; ++j) sum[i][j] = load(to + i * kLine + j * kLanes);
    }
    add_products<rows>(sum, depth, a + first, 1, kLine, b);
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < kLineVecs; ++j) store(to + i * kLine + j * kLanes, sum[i][j]);
    }
  });
}

}  // namespace ito::kernels::conv2d
