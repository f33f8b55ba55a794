#include "tests/simt/emulator/machine.h"

#include <cstdio>
#include <cstring>

#include "kernels/error.h"
#include "tests/simt/emulator/sanitizer.h"

namespace simt {

using ito::cat;

namespace {

constexpr size_t kSharedAlign = 1024;

std::string text(const uint3& v) { return cat("(", v.x, ",", v.y, ",", v.z, ")"); }
std::string hex(uint32_t mask) {
  char digits[11];
  snprintf(digits, sizeof digits, "0x%08x", mask);
  return digits;
}

}  // namespace

Machine& machine() {
  static Machine one;
  return one;
}

void report_misaligned(const void* p, size_t bytes, const Place& place) {
  machine().report(cat("misaligned address: ", reinterpret_cast<uintptr_t>(p) % bytes,
                       " bytes past a multiple of the ", bytes, " accessed"),
                   place);
}

void Machine::run_thread(void* self) {
  Machine& machine = *static_cast<Machine*>(self);
  __tsan_acquire(&machine);
  (*machine.body_)();
  machine.leave_thread();
}

void Machine::run(const Launch& launch, const std::function<void()>& body) {
  body_ = &body;
  start(launch);
  for (unsigned z = 0; z < launch.grid.z; ++z)
    for (unsigned y = 0; y < launch.grid.y; ++y)
      for (unsigned x = 0; x < launch.grid.x; ++x) {
        start_block({x, y, z});
        run_block();
      }
  launch_.kernel.clear();
}

void Machine::start(const Launch& launch) {
  const size_t had = launch_.shared_bytes;
  launch_ = launch;
  random_state_ = schedule_.seed;
  count_ = launch.block.x * launch.block.y * launch.block.z;
  while (threads_.size() < count_) threads_.push_back(std::make_unique<Thread>(run_thread, this));
  for (unsigned i = 0; i < count_; ++i) {
    const unsigned x = launch.block.x, y = launch.block.y;
    threads_[i]->number = i;
    threads_[i]->index = {i % x, i / x % y, i / (x * y)};
  }
  if (!shared_ || had != launch.shared_bytes) {
    const size_t bytes = (launch.shared_bytes / kSharedAlign + 1) * kSharedAlign;
    shared_.reset(static_cast<unsigned char*>(std::aligned_alloc(kSharedAlign, bytes)));
  }
  blockDim = launch.block;
  gridDim = launch.grid;
}

void Machine::start_block(const uint3& index) {
  blockIdx = index;
  at_barrier_ = 0;
  alive_ = count_;
  for (unsigned warp = 0; warp * 32 < count_; ++warp) {
    const unsigned lanes = count_ - warp * 32;
    warps_[warp].absent = lanes < 32 ? ~0u << lanes : 0;
    warps_[warp].open = 0;
  }
  // All ones is a NaN in every floating-point format, so that what was never written shows in the result.
  std::memset(shared_.get(), 0xff, launch_.shared_bytes);
  ready_.fill(count_);
  for (unsigned i = 0; i < count_; ++i) threads_[i]->async.reset();
}

void Machine::run_block() {
  __tsan_release(this);
  host_.switch_to(choose());
  __tsan_acquire(this);
  current_ = nullptr;
  if (error_.empty()) return;
  for (auto& thread : threads_) thread->fiber.restart();
  launch_.kernel.clear();
  const std::string message = std::move(error_);
  error_.clear();
  throw Violation(message);
}

/// Who runs next: a thread, or the host where the block is done.
Fiber& Machine::choose() {
  if (alive_ == 0 || !error_.empty()) return host_;
  const unsigned next = next_thread();
  if (next == ReadySet::kNone) {
    explain_deadlock();
    return host_;
  }
  ready_.erase(next);
  current_ = threads_[next].get();
  threadIdx = current_->index;
  return current_->fiber;
}

/// The current thread waits, or is done.
void Machine::pause() {
  Fiber& left = current_->fiber;
  Fiber& next = choose();
  if (&left != &next) left.switch_to(next);
}

unsigned Machine::next_thread() {
  if (schedule_.order == Order::in_order) return ready_.first();
  if (schedule_.order == Order::reverse) return ready_.last();
  random_state_ += 0x9E3779B97F4A7C15u;  // SplitMix64
  uint64_t z = random_state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return ready_.first_from(unsigned((z ^ (z >> 31)) % count_));
}

void Machine::leave_thread() {
  __tsan_release(this);
  const unsigned number = current_->number;
  current_->state = State::done;
  --alive_;
  Warp& warp = warps_[number / 32];
  warp.absent |= 1u << (number % 32);
  for (int i = warp.open; i-- > 0;) try_complete(number / 32, i);
  pause();
}

void Machine::barrier(const Place& place) {
  if (alive_ < count_) report("barrier after other threads of the block have returned", place);
  if (at_barrier_ > 0 && !(barrier_ == place))
    report(cat("divergent barrier: other threads wait at ", barrier_), place);
  barrier_ = place;
  current_->state = State::barrier;
  current_->place = place;
  __tsan_release(&at_barrier_);
  if (++at_barrier_ == count_) {
    at_barrier_ = 0;
    ready_.fill(count_);
  }
  pause();
  __tsan_acquire(&at_barrier_);
}

void Machine::collective(uint32_t mask, void* mine, Combine combine, const Place& place) {
  const unsigned lane = current_->number % 32, number = current_->number / 32;
  if (!(mask >> lane & 1))
    report(cat("lane ", lane, " calls a collective whose mask ", hex(mask), " leaves it out"), place);
  Warp& warp = warps_[number];
  int i = 0;
  while (i < warp.open && warp.meetings[size_t(i)].mask != mask) ++i;
  Meeting& meeting = warp.meetings[size_t(i)];
  if (i == warp.open) {
    meeting = {mask, 0, place, combine};
    ++warp.open;
  } else if (!(meeting.place == place)) {
    report(cat("mixed collectives: other lanes of mask ", hex(mask), " wait at ", meeting.place), place);
  }
  meeting.arrived |= 1u << lane;
  warp.brought[lane] = mine;
  current_->state = State::warp;
  current_->place = place;
  __tsan_release(&warp);
  try_complete(number, i);
  pause();
  __tsan_acquire(&warp);
}

/// Ends the meeting where nobody is awaited any more: CUDA excuses lanes that have returned or never were.
bool Machine::try_complete(unsigned number, int which) {
  Warp& warp = warps_[number];
  Meeting& meeting = warp.meetings[size_t(which)];
  if (meeting.mask & ~(meeting.arrived | warp.absent)) return false;
  Lanes lanes(meeting.arrived, warp.brought.data());
  __tsan_acquire(&warp);
  meeting.combine(lanes);
  __tsan_release(&warp);
  if (lanes.bad_lane >= 0)
    record(lanes.wrong, meeting.place, *threads_[number * 32 + unsigned(lanes.bad_lane)]);
  ready_.insert_warp(number, meeting.arrived);
  meeting = warp.meetings[size_t(--warp.open)];
  return true;
}

void Machine::explain_deadlock() {
  std::string who;
  const Thread* example = nullptr;
  for (unsigned i = 0; i < count_; ++i) {
    const Thread& thread = *threads_[i];
    if (thread.state == State::done) continue;
    if (example && thread.place == example->place && thread.state == example->state) continue;
    who += cat(example ? "; thread " : "thread ", text(thread.index),
               thread.state == State::barrier ? " at the barrier " : " at the collective ", thread.place);
    example = &thread;
    if (who.size() > 500) break;
  }
  const bool exited = alive_ < count_ && at_barrier_ == alive_;
  record(cat(exited ? "threads returned while others wait at a barrier: " : "deadlock: ", who),
         example->place, *example);
}

bool Machine::is_shared(const void* p, size_t bytes) const {
  const auto* const at = static_cast<const unsigned char*>(p);
  return at >= shared_.get() && at + bytes <= shared_.get() + launch_.shared_bytes;
}

void Machine::record(std::string what, const Place& place, const Thread& thread) {
  if (!error_.empty()) return;
  error_ = cat(launch_.kernel, ": ", place, ": ", what, " (block ", text(blockIdx), ", thread ",
               text(thread.index), ")");
}

void Machine::report(std::string what, const Place& place) {
  record(std::move(what), place,
         *current_);  // nothing on this stack is destroyed any more: leave it nothing to free
  for (;;) pause();
}

}  // namespace simt
