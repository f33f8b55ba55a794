#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/agreement.h"

namespace ito::apps {

/// Items that ranks share: `count` of them, of which a rank makes `chunk` at a time, as `width` numbers each.
struct Shares {
  int64_t count, chunk, width;
};

/// Makes the numbers of all items and takes them in their order, a round of one chunk a rank at a time:
///   make(first, n, out)        writes those of items first .. first + n - 1, n <= chunk, to T out[n * width]
///   take(first, n, numbers)    gets them, on every rank
/// What either throws on one rank, engine::Interrupted too, ends the work on all of them.
template <class T, class Make, class Take>
void in_rounds(kernels::Wire& ranks, const Shares& shares, const Make& make, const Take& take) {
  const int64_t count = shares.count, chunk = shares.chunk, width = shares.width;
  const int64_t round = chunk * ranks.size();
  std::vector<T> made;  // in the round before
  const auto take_all = [&](int64_t begin) {
    const int64_t end = begin + int64_t(made.size()) / width;
    for (int64_t first = begin; first < end; first += chunk)
      take(first, std::min(chunk, end - first), made.data() + (first - begin) * width);
  };
  int64_t begin = 0;
  for (; begin < count; begin += round) {
    const int64_t end = std::min(count, begin + round), first = begin + chunk * ranks.rank();
    std::vector<T> own;
    engine::together(ranks, [&] {
      take_all(begin - round);
      if (first >= end) return;
      const int64_t n = std::min(chunk, end - first);
      own.resize(size_t(n * width));
      make(first, n, own.data());
    });
    made = engine::gather_chunks(ranks, std::move(own), size_t(end - begin), size_t(chunk), size_t(width));
  }
  engine::together(ranks, [&] { take_all(begin - round); });
}

}  // namespace ito::apps
