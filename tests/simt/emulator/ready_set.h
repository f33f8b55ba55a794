#pragma once

#include <cstdint>
#include <vector>

namespace simt {

/// A set of small numbers: the threads that may run.
class ReadySet {
 public:
  void reset(unsigned size) { words_.assign((size + 63) / 64, 0); }
  void insert(unsigned i) { words_[i / 64] |= uint64_t(1) << (i % 64); }
  void erase(unsigned i) { words_[i / 64] &= ~(uint64_t(1) << (i % 64)); }

  static constexpr unsigned kNone = ~0u;
  unsigned first() const { return first_from(0); }
  unsigned last() const {
    for (size_t w = words_.size(); w-- > 0;)
      if (words_[w]) return unsigned(w * 64 + 63 - __builtin_clzll(words_[w]));
    return kNone;
  }
  /// The first member at or after `start`, going round at the end.
  unsigned first_from(unsigned start) const {
    const size_t count = words_.size();
    for (size_t step = 0; step <= count; ++step) {
      const size_t w = (start / 64 + step) % count;
      const uint64_t from_start = step == 0 ? ~uint64_t(0) << (start % 64) : ~uint64_t(0);
      if (const uint64_t word = words_[w] & from_start) return unsigned(w * 64 + __builtin_ctzll(word));
    }
    return kNone;
  }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace simt
