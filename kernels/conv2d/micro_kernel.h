#pragma once

#include <cstddef>

#include "kernels/conv2d/vec.h"

/// The inner loops of a matrix product whose operands already lie in the cache.
namespace ito::kernels::conv2d {

/// A tile of the result is kRows x kPanel and stays in registers while the depth is summed: 6 x 2 vectors
/// leave 4 of AVX2's 16 registers for operands, 12 x 2 leave 8 of AVX-512's 32.
constexpr int kPanel = 2 * kLanes;
constexpr int kRows = kLanes == 16 ? 12 : 6;

/// Where element (row, p) of the left operand, (p, column) of the right one and (row, column) of the result
/// lie.
struct Strides {
  ptrdiff_t a_row, a_depth, b_depth, c_row;
};

/// c[i, j] = sum_p a[i, p] b[p, j] for i < rows, j < kPanel, added to what is there if `accumulate`. The
/// order of the sum does not depend on `rows`.
template <int rows, bool accumulate>
void micro_kernel(int depth, const float* a, const float* b, float* c, const Strides& at) {
  Vec sum[rows][2];
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < 2; ++j) sum[i][j] = accumulate ? load(c + i * at.c_row + j * kLanes) : Vec{};
  }
  for (int p = 0; p < depth; ++p, a += at.a_depth, b += at.b_depth) {
    const Vec b0 = load(b), b1 = load(b + kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
      const float left = a[i * at.a_row];
      sum[i][0] += left * b0;
      sum[i][1] += left * b1;
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < 2; ++j) store(c + i * at.c_row + j * kLanes, sum[i][j]);
  }
}

/// micro_kernel<count>: the one of kRows that it is.
template <int rows, bool accumulate>
void micro_kernel_of(int count, int depth, const float* a, const float* b, float* c, const Strides& at) {
  if constexpr (rows > 0) {
    if (count == rows) return micro_kernel<rows, accumulate>(depth, a, b, c, at);
    micro_kernel_of<rows - 1, accumulate>(count, depth, a, b, c, at);
  }
}

/// The same for any number of rows, cut into as equal groups of at most kRows as can be: 32 is 6+5+5+6+5+5,
/// because a group of two would leave the multipliers half idle.
template <bool accumulate>
void multiply_panel(int rows, int depth, const float* a, const float* b, float* c, const Strides& at) {
  const int groups = (rows + kRows - 1) / kRows;
  for (int group = 0; group < groups; ++group) {
    const int first = rows * group / groups, count = rows * (group + 1) / groups - first;
    micro_kernel_of<kRows, accumulate>(count, depth, a + first * at.a_row, b, c + first * at.c_row, at);
  }
}

}  // namespace ito::kernels::conv2d
