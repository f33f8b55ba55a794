#pragma once

#include <cstdint>

#include "kernels/stream.h"

namespace ito::kernels {

inline constexpr int kMostTreeParts = 1024;

/// to[i] = sum of part p's from[p * stride + i] over p < parts, i < count, in f32 by one fixed tree: of n parts the
/// largest power of two below n is the left half, and left + right is rounded once. So the tree over 2^a 2^b parts is
/// the tree over 2^a sums of 2^b neighbours each, with the same bits (but NaN may have others). `to` may be a part.
/// Error: more than kMostTreeParts parts, or none; a count below 0; more than one part and a stride below the count.
void tree_sum(CpuStream&, int parts, int64_t stride, int64_t count, const float* from, float* to);
void tree_sum(CudaStream&, int parts, int64_t stride, int64_t count, const float* from, float* to);

/// What both refuse.
void check_tree_sum(int parts, int64_t stride, int64_t count);

}  // namespace ito::kernels
