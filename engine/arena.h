#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace ito::engine {

/// Hands out byte ranges of one address range by best fit, deterministically: the same requests and releases
/// give the same addresses, so that step after step they repeat. A measuring arena has no memory: it only
/// finds the peak.
class Arena {
 public:
  enum class Kind { memory, measuring, block };

  /// memory reserves address space of the host (pages cost nothing until they are used); measuring nothing at
  /// all; block works on memory that its owner gives it.
  explicit Arena(Kind kind);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Kind::block, while nothing is live: works on these bytes from now on; returns the block before.
  void* exchange_block(void* base, size_t bytes);
  size_t block_bytes() const { return kind_ == Kind::block ? capacity_ : 0; }

  /// `bytes` rounded up to 256, 256-byte aligned. Error: out of memory, or growth after seal().
  void* allocate(size_t bytes);
  void release(void* pointer);

  size_t live_bytes() const { return live_; }
  size_t peak_bytes() const { return peak_; }
  void reset_peak() { peak_ = top_; }

  /// From here on, growth beyond the present peak is an error: the plan of a step is fixed. Several steps may
  /// seal; with the last of them gone the peak is measured again.
  void seal() { ++seals_; }
  void unseal() {
    if (--seals_ == 0) reset_peak();
  }
  bool sealed() const { return seals_ > 0; }

 private:
  void add_free(size_t offset, size_t size);
  void remove_free(size_t offset, size_t size);

  std::byte* base_ = nullptr;
  size_t capacity_ = 0;
  Kind kind_;
  int seals_ = 0;
  size_t live_ = 0, peak_ = 0, top_ = 0;  // top: end of the highest block ever in use since it was last free
  std::map<size_t, size_t> used_;         // offset -> size
  std::map<size_t, size_t> free_;         // offset -> size, below top_, never adjacent
  std::set<std::pair<size_t, size_t>> by_size_;  // (size, offset) of free_
};

}  // namespace ito::engine
