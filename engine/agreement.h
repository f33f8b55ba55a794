#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/wire.h"

/// How the ranks of a run find out what the others have: each call is made by all of them.
namespace ito::engine {

/// Work of all ranks failed on another one, which reports it.
class FailedElsewhere : public Error {
 public:
  using Error::Error;
};

/// Every rank's text, by rank.
std::vector<std::string> gather_texts(kernels::Wire&, const std::string& text);
/// Rank 0's text.
std::string broadcast_text(kernels::Wire&, const std::string& text);
/// Rank 0's value.
template <class T>
T broadcast_value(kernels::Wire& ranks, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  ranks.broadcast(&value, sizeof value);
  return value;
}
/// Every rank's value, by rank.
template <class T>
std::vector<T> gather_values(kernels::Wire& ranks, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::vector<T> all(size_t(ranks.size()));
  ranks.all_gather(&value, all.data(), sizeof value);
  return all;
}
/// Returns when all ranks have called it.
void barrier(kernels::Wire&);

/// What came of the ranks' parts of a work: the highest code, and the lowest rank that has it, with its text.
struct Outcome {
  int code = 0, rank = 0;
  std::string text;
};
Outcome agree(kernels::Wire&, int code, const std::string& text);

/// Thrown out of work that the user interrupts; not a std::exception, which is a failure.
struct Interrupted {};

/// Does this rank's part of a work. If that is interrupted or fails anywhere, it does so everywhere: Interrupted on all
/// ranks; else its own error where it failed, and FailedElsewhere on the others.
void together(kernels::Wire&, const std::function<void()>& work);

/// Chunk c of a work that ranks share is made by rank c % size.
inline bool is_own_chunk(const kernels::Wire& ranks, size_t chunk) {
  return int(chunk % size_t(ranks.size())) == ranks.rank();
}
/// All `count` items of `each` numbers on every rank, in order, from the own chunks of each.
template <class T>
std::vector<T> gather_chunks(kernels::Wire& ranks, std::vector<T> own, size_t count, size_t chunk,
                             size_t each) {
  if (ranks.size() == 1) return own;
  const size_t size = size_t(ranks.size()), chunks = (count + chunk - 1) / chunk;
  const size_t part = (chunks + size - 1) / size * chunk * each;  // of a rank
  own.resize(part);
  std::vector<T> parts(part * size), all;
  ranks.all_gather(own.data(), parts.data(), part * sizeof(T));
  for (size_t c = 0; c < chunks; ++c) {
    const T* const begin = parts.data() + c % size * part + c / size * chunk * each;
    all.insert(all.end(), begin, begin + std::min(chunk, count - c * chunk) * each);
  }
  return all;
}

/// What must be the same on all ranks, in the order in which it is compared: names and values.
using Facts = std::vector<std::pair<std::string, std::string>>;
/// Error, on every rank: the first fact in which one differs from rank 0, with both values.
void check_equal(kernels::Wire&, const Facts&);

}  // namespace ito::engine
