#pragma once

#include <array>
#include <cstdint>

namespace simt {

/// A set of small numbers: the threads of a block that may run.
class ReadySet {
 public:
  static constexpr unsigned kMost = 1024;

  /// All of 0 .. size - 1.
  void fill(unsigned size) {
    count_ = (size + 63) / 64;
    for (unsigned w = 0; w < count_; ++w) words_[w] = ~uint64_t(0);
    if (size % 64) words_[count_ - 1] = (uint64_t(1) << (size % 64)) - 1;
  }
  /// The members of `lanes`, 32 numbers from 32 * warp on.
  void insert_warp(unsigned warp, uint32_t lanes) { words_[warp / 2] |= uint64_t(lanes) << (warp % 2 * 32); }
  void erase(unsigned i) { words_[i / 64] &= ~(uint64_t(1) << (i % 64)); }

  static constexpr unsigned kNone = ~0u;
  unsigned first() const { return first_from(0); }
  unsigned last() const {
    for (unsigned w = count_; w-- > 0;)
      if (words_[w]) return w * 64 + 63 - unsigned(__builtin_clzll(words_[w]));
    return kNone;
  }
  /// The first member at or after `start`, going round at the end.
  unsigned first_from(unsigned start) const {
    unsigned w = start / 64;
    uint64_t from_start = ~uint64_t(0) << (start % 64);
    for (unsigned step = 0; step <= count_; ++step) {
      if (const uint64_t word = words_[w] & from_start) return w * 64 + unsigned(__builtin_ctzll(word));
      from_start = ~uint64_t(0);
      if (++w == count_) w = 0;
    }
    return kNone;
  }

 private:
  unsigned count_ = 0;
  std::array<uint64_t, kMost / 64> words_{};
};

}  // namespace simt
