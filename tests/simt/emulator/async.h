#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace simt {

/// The copies from global to shared memory (cp.async) that one thread has under way. They land as late as
/// CUDA allows: when the thread waits for them.
class AsyncCopies {
 public:
  static constexpr int kBytes = 16;

  void reset() { copies_.clear(), landed_ = 0, group_ = 0; }
  /// `from`: null for zeros.
  void issue(void* to, const void* from) {
    std::memset(to, 0xff, kBytes);  // NaN, for a thread that reads it now
    copies_.push_back({to, from, group_});
  }
  void commit() { ++group_; }
  /// Until at most `pending` committed groups are under way.
  void wait(unsigned pending) {
    const uint64_t done = group_ < pending ? 0 : group_ - pending;
    for (; landed_ < copies_.size() && copies_[landed_].group < done; ++landed_) {
      const Copy& copy = copies_[landed_];
      if (copy.from) {
        std::memcpy(copy.to, copy.from, kBytes);
      } else {
        std::memset(copy.to, 0, kBytes);
      }
    }
    if (landed_ == copies_.size()) copies_.clear(), landed_ = 0;
  }

 private:
  struct Copy {
    void* to;
    const void* from;
    uint64_t group;
  };
  std::vector<Copy> copies_;
  size_t landed_ = 0;   // of them
  uint64_t group_ = 0;  // that is open
};

}  // namespace simt
