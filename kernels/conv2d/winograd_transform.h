#pragma once

#include "kernels/conv2d/vec.h"

/// The minimal filtering algorithm F(4x4, 3x3): 4x4 outputs of a 3x3 filter by 36 products instead of 144,
///   y = A^T [ (G g G^T) .* (B^T d B) ] A
/// for the 6x6 inputs d under them, by interpolation in the points 0, +-a, +-b and infinity. Source: Winograd
/// 1980; Lavin & Gray, arXiv:1509.09308, with a = 1, b = 2; our points keep the numbers, and with them the
/// rounding errors, smaller. Each function below is one matrix applied to one column; a tile takes it twice.
namespace ito::kernels::conv2d::winograd {

constexpr int kTile = 4;   // outputs of a tile, in each direction
constexpr int kPatch = 6;  // inputs
constexpr int kPoints = kPatch * kPatch;

constexpr float a = 0.625f, b = 1.5f;
constexpr float a2 = a * a, b2 = b * b;

/// B^T d.
template <class V>
inline void input_points(const V d[6], V out[6]) {
  const V even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
  const V even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
  out[0] = d[4] + (a2 * b2) * d[0] - (a2 + b2) * d[2];
  out[1] = even_a + a * odd_a;
  out[2] = even_a - a * odd_a;
  out[3] = even_b + b * odd_b;
  out[4] = even_b - b * odd_b;
  out[5] = d[5] + (a2 * b2) * d[1] - (a2 + b2) * d[3];
}

/// G g.
template <class V>
inline void filter_points(const V g[3], V out[6]) {
  constexpr float at_a = 1 / (2 * a2 * (a2 - b2)), at_b = 1 / (2 * b2 * (b2 - a2));
  const V even_a = at_a * g[0] + (at_a * a2) * g[2], odd_a = (at_a * a) * g[1];
  const V even_b = at_b * g[0] + (at_b * b2) * g[2], odd_b = (at_b * b) * g[1];
  out[0] = (1 / (a2 * b2)) * g[0];
  out[1] = even_a + odd_a;
  out[2] = even_a - odd_a;
  out[3] = even_b + odd_b;
  out[4] = even_b - odd_b;
  out[5] = g[2];
}

/// A^T m.
template <class V>
inline void output_from_points(const V m[6], V y[4]) {
  const V even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const V even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  y[1] = a * odd_a + b * odd_b;
  y[2] = a2 * even_a + b2 * even_b;
  y[3] = m[5] + (a * a2) * odd_a + (b * b2) * odd_b;
}

/// A y: the transpose of output_from_points, for gradients.
template <class V>
inline void output_points(const V y[4], V out[6]) {
  const V even_a = y[0] + a2 * y[2], odd_a = y[1] + a2 * y[3];
  const V even_b = y[0] + b2 * y[2], odd_b = y[1] + b2 * y[3];
  out[0] = y[0];
  out[1] = even_a + a * odd_a;
  out[2] = even_a - a * odd_a;
  out[3] = even_b + b * odd_b;
  out[4] = even_b - b * odd_b;
  out[5] = y[3];
}

/// G^T u: the transpose of filter_points.
template <class V>
inline void filter_from_points(const V u[6], V g[3]) {
  constexpr float at_a = 1 / (2 * a2 * (a2 - b2)), at_b = 1 / (2 * b2 * (b2 - a2));
  const V even_a = at_a * (u[1] + u[2]), odd_a = (at_a * a) * (u[1] - u[2]);
  const V even_b = at_b * (u[3] + u[4]), odd_b = (at_b * b) * (u[3] - u[4]);
  g[0] = (1 / (a2 * b2)) * u[0] + even_a + even_b;
  g[1] = odd_a + odd_b;
  g[2] = u[5] + a2 * even_a + b2 * even_b;
}

/// One of the above down the columns of an in x in array, then along the rows of the result: out x out
/// values, handed to write(row, column, value). read(row, column) supplies the array.
template <int in, int out, class V, class Read, class Write>
[[gnu::always_inline]] inline void transform_2d(void (*points)(const V*, V*), const Read& read,
                                                const Write& write) {
  V half[out][in];
#pragma GCC unroll 6
  for (int j = 0; j < in; ++j) {
    V column[in], mapped[out];
#pragma GCC unroll 6
    for (int i = 0; i < in; ++i) column[i] = read(i, j);
    points(column, mapped);
#pragma GCC unroll 6
    for (int i = 0; i < out; ++i) half[i][j] = mapped[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < out; ++i) {
    V mapped[out];
    points(half[i], mapped);
#pragma GCC unroll 6
    for (int j = 0; j < out; ++j) write(i, j, mapped[j]);
  }
}

}  // namespace ito::kernels::conv2d::winograd
