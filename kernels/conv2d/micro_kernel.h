#pragma once

#include "kernels/conv2d/vec.h"

/// The inner loops of matrix products whose operands already lie in the cache, in lines of 16 floats.
namespace ito::kernels::conv2d {

/// Rows of the result that stay in registers while the depth is summed: with 6 rows of 2 vectors 4 of AVX2's
/// 16 registers are left for the operands; 12 rows of 1 vector keep AVX-512's two multipliers busy.
constexpr int kRows = kLineVecs == 2 ? 6 : 12;

/// sum[i] += sum_p a[i * a_row + p * a_depth] * line p of b, for p < depth.
template <int a_row, int a_depth, int rows>
[[gnu::always_inline]] inline void add_products(Vec (&sum)[rows][kLineVecs], int depth, const float* a,
                                                const float* b) {
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

/// Result lines [first, first + rows) of 16 columns: c = a b. The left operand's depth lies in blocks of
/// kLine, each [row][kLine], `a_block` floats apart; the right one's, and the result's, in lines.
template <int rows>
void multiply_rows(int blocks, const float* a, int a_block, const float* b, float* c) {
  Vec sum[rows][kLineVecs] = {};
  for (int block = 0; block < blocks; ++block, a += a_block, b += kLine * kLine) {
    add_products<kLine, 1>(sum, kLine, a, b);
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kLineVecs; ++j) store(c + i * kLine + j * kLanes, sum[i][j]);
  }
}

/// c += a^T b, with a [depth][kLine] of which `rows` columns count, b [depth][kLine], c [rows][kLine].
template <int rows>
void add_transposed_rows(int depth, const float* a, const float* b, float* c) {
  Vec sum[rows][kLineVecs];
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kLineVecs; ++j) sum[i][j] = load(c + i * kLine + j * kLanes);
  }
  add_products<1, kLine>(sum, depth, a, b);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kLineVecs; ++j) store(c + i * kLine + j * kLanes, sum[i][j]);
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
  const int groups = (rows + kRows - 1) / kRows;
  for (int group = 0; group < groups; ++group) {
    const int first = rows * group / groups, count = rows * (group + 1) / groups - first;
    with_constant<kRows>(count, [&]<int n>() { f.template operator()<n>(first); });
  }
}

}  // namespace ito::kernels::conv2d
