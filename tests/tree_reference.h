#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

/// The sum of kernels/tree_sum.h as its definition has it, in plain recursion.
namespace ito::tests {

/// at(p) is summand p; T is what a sum is rounded to.
template <class T, class At>
T tree_of(int first, int count, const At& at) {
  if (count == 1) return at(first);
  int left = 1;
  while (2 * left < count) left *= 2;
  const T low = tree_of<T>(first, left, at), high = tree_of<T>(first + left, count - left, at);
  return T(low + high);
}

/// All `count` sums over parts that begin `stride` apart.
template <class T = float>
std::vector<T> tree_sums(const std::vector<float>& from, int parts, int64_t stride, int64_t count) {
  std::vector<T> sums;
  for (int64_t i = 0; i < count; ++i)
    sums.push_back(tree_of<T>(0, parts, [&](int p) { return T(from[size_t(p * stride + i)]); }));
  return sums;
}

/// How many parts the tests of tree_sum try.
inline std::vector<int> tried_parts() {
  std::vector<int> parts;
  for (int n = 1; n <= 17; ++n) parts.push_back(n);
  parts.insert(parts.end(), {63, 64, 65, 1000, 1024});
  return parts;
}

}  // namespace ito::tests
