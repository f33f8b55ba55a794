#include "engine/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

#include "kernels/base/error.h"
#include "kernels/base/math.h"
#include "kernels/stream.h"

namespace ito::engine {

namespace {
constexpr size_t kAlign = 256;  // what cuBLASLt wants of a workspace
// A measuring arena's addresses are never used; any base that is not null will do.
std::byte* const kMeasuringBase = reinterpret_cast<std::byte*>(kAlign);  // NOLINT(performance-no-int-to-ptr)
}  // namespace

Arena::Arena(Kind kind) : kind_(kind) {
  if (kind == Kind::measuring) {
    base_ = kMeasuringBase;
    capacity_ = SIZE_MAX / 2;
    return;
  }
  if (kind == Kind::block) return;
  // Address space for all of the machine's memory, less where a limit (ulimit -v, strict overcommit) forbids
  // it.
  for (capacity_ = physical_memory_bytes(); capacity_ >= (size_t(64) << 20); capacity_ /= 2) {
    void* p =
        mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) continue;
    base_ = static_cast<std::byte*>(p);
    madvise(p, capacity_, MADV_HUGEPAGE);
    return;
  }
  fail("cannot reserve memory for tensors: raise the limit on address space (ulimit -v)");
}

Arena::~Arena() {
  if (kind_ == Kind::memory && base_) munmap(base_, capacity_);
}

void* Arena::exchange_block(void* base, size_t bytes) {
  if (kind_ != Kind::block) return nullptr;
  void* const before = base_;
  base_ = static_cast<std::byte*>(base), capacity_ = bytes;
  peak_ = top_ = 0;
  free_.clear(), by_size_.clear();
  return before;
}

void* Arena::allocate(size_t bytes) {
  const size_t size = align_up(std::max<size_t>(bytes, 1), kAlign);
  size_t offset;
  if (auto fit = by_size_.lower_bound({size, 0}); fit != by_size_.end()) {
    const auto [hole, at] = *fit;
    remove_free(at, hole);
    if (hole > size) add_free(at + size, hole - size);
    offset = at;
  } else {
    offset = top_;
    // A hole that ends at the top is extended rather than left behind.
    if (!free_.empty() && std::prev(free_.end())->first + std::prev(free_.end())->second == top_) {
      offset = std::prev(free_.end())->first;
      remove_free(offset, std::prev(free_.end())->second);
    }
    if (offset + size > capacity_)
      fail_memory(cat("a tensor of ", bytes >> 20, " MiB does not fit next to ", live_ >> 20,
                      " MiB in use of ", capacity_ >> 20));
    if (sealed() && offset + size > peak_)
      fail(cat("a sealed step asked for more memory than its plan: ", offset + size, " bytes, planned ",
               peak_));
    top_ = offset + size;
    peak_ = std::max(peak_, top_);
  }
  used_.emplace(offset, size);
  live_ += size;
  return base_ + offset;
}

void Arena::release(void* pointer) {
  size_t offset = size_t(static_cast<std::byte*>(pointer) - base_);
  auto it = used_.find(offset);
  if (it == used_.end()) return;  // destructors call this: never throw
  size_t size = it->second;
  live_ -= size;
  used_.erase(it);
  if (auto next = free_.find(offset + size); next != free_.end()) {
    const size_t next_size = next->second;
    remove_free(offset + size, next_size);
    size += next_size;
  }
  if (auto next = free_.lower_bound(offset); next != free_.begin()) {
    auto [at, before] = *std::prev(next);
    if (at + before == offset) {
      remove_free(at, before);
      offset = at, size += before;
    }
  }
  if (offset + size == top_)
    top_ = offset;
  else
    add_free(offset, size);
}

void Arena::add_free(size_t offset, size_t size) {
  free_.emplace(offset, size);
  by_size_.emplace(size, offset);
}

void Arena::remove_free(size_t offset, size_t size) {
  free_.erase(offset);
  by_size_.erase({size, offset});
}

}  // namespace ito::engine
