#pragma once

#include <algorithm>
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

/// Operands of add_tile, each with the distances between its elements, in floats.
struct TileLeft {
  const float* data;
  ptrdiff_t depth;  // rows lie side by side
};
struct TileRight {
  const float* data;
  ptrdiff_t line, depth;
};
struct TileSums {
  float* data;
  ptrdiff_t row, line;
};

/// Lines of a tile, and its rows: 24 vectors of AVX-512's 32 registers, 12 of AVX2's 16. Four lines load a factor of
/// the left for each four products, where one line loads one for each.
constexpr int kTileLines = kLineVecs == 2 ? 1 : 4;
template <int lines>
constexpr int kTileRows = kLineVecs == 2 || lines == 4 ? 6 : (lines == 3 ? 8 : 12);

/// to = or += a^T b, a tile of `rows` x (`lines` x kLine): a is [depth][rows], b is `lines` x [depth][kLine]. Each sum
/// is one chain over the depth, which may be cut anywhere.
template <int rows, int lines>
inline void add_tile(bool to_zero, int depth, const TileLeft& a, const TileRight& b, const TileSums& to) {
  constexpr int kVecs = lines * kLineVecs;
  const auto at = [&](int i, int j) {
    return to.data + i * to.row + j / kLineVecs * to.line + j % kLineVecs * kLanes;
  };
  Vec sum[rows][kVecs];
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) sum[i][j] = to_zero ? Vec{} : load(at(i, j));
  }
  const float *left = a.data, *right = b.data;
  for (int p = 0; p < depth; ++p, left += a.depth, right += b.depth) {
    Vec factor[kVecs];
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) factor[j] = load(right + j / kLineVecs * b.line + j % kLineVecs * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) sum[i][j] += left[i] * factor[j];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) store(at(i, j), sum[i][j]);
  }
}

/// The same for any number of rows and lines.
inline void add_tiles(bool to_zero, int rows, int lines, int depth, const TileLeft& a, const TileRight& b,
                      const TileSums& to) {
  for (int line = 0; line < lines; line += kTileLines) {
    with_constant<kTileLines>(std::min(kTileLines, lines - line), [&]<int width>() {
      constexpr int kMost = kTileRows<width>;
      const int groups = div_up(rows, kMost);
      for (int group = 0; group < groups; ++group) {
        const int first = rows * group / groups, count = rows * (group + 1) / groups - first;
        with_constant<kMost>(count, [&]<int height>() {
          add_tile<height, width>(to_zero, depth, {a.data + first, a.depth},
                                  {b.data + line * b.line, b.line, b.depth},
                                  {to.data + first * to.row + line * to.line, to.row, to.line});
        });
      }
    });
  }
}

}  // namespace ito::kernels::conv2d
