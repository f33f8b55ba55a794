#include "kernels/tree_sum.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/parallel.h"

namespace ito::kernels {

namespace {

constexpr int kLevels = 11;  // of a tree over kMostTreeParts
constexpr int64_t kTogether =
    256;  // numbers that are summed side by side; those of all levels fit a core's cache
static_assert(1 << (kLevels - 1) == kMostTreeParts, "a level for each power of two up to the most parts");

using Numbers = float[kTogether];

/// sum = left + sum
void add(int64_t count, const float* left, float* sum) {
  for (int64_t i = 0; i < count; ++i) sum[i] = left[i] + sum[i];
}

/// The tree over numbers first .. first + count - 1 of every part. Sums that wait for their right half are counted as a
/// binary number counts the parts: after p of them there is a sum of 2^k neighbours for each bit k of p. In the end
/// those that are left are combined from the right, which is the tree's rule for n that is no power of two.
void sum_together(int parts, int64_t stride, int64_t count, const float* from, float* to) {
  Numbers waiting[kLevels], sum;
  const size_t bytes = size_t(count) * sizeof(float);
  for (int p = 0; p < parts; ++p) {
    std::memcpy(sum, from + p * stride, bytes);
    int level = 0;
    for (; p >> level & 1; ++level) add(count, waiting[level], sum);
    std::memcpy(waiting[level], sum, bytes);
  }
  std::fill_n(sum, count, -0.f);  // which changes nothing that it is added to
  for (int level = 0; level < kLevels; ++level)
    if (parts >> level & 1) add(count, waiting[level], sum);
  std::memcpy(to, sum, bytes);
}

}  // namespace

void check_tree_sum(int parts, int64_t stride, int64_t count) {
  if (parts < 1 || parts > kMostTreeParts)
    fail(cat("tree_sum: ", parts, " parts; there may be 1 to ", kMostTreeParts));
  if (count < 0) fail(cat("tree_sum: ", count, " numbers; there may be none, and no fewer"));
  if (parts > 1 && stride < count)
    fail(
        cat("tree_sum: parts of ", count, " numbers overlap where one begins ", stride, " behind the other"));
}

void tree_sum(CpuStream& stream, int parts, int64_t stride, int64_t count, const float* from, float* to) {
  check_tree_sum(parts, stride, count);
  parallel_pieces(stream, count, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kTogether)
      sum_together(parts, stride, std::min(kTogether, end - i), from + i, to + i);
  });
}

}  // namespace ito::kernels
