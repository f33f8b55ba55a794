#include "tests/simt/emulator/machine.h"

#include <cstdio>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"

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

void report_misaligned(const void* p, size_t bytes, const SourceLocation& place) {
  machine().report(cat("misaligned address: ", reinterpret_cast<uintptr_t>(p) % bytes,
                       " bytes past a multiple of the ", bytes, " accessed"),
                   place);
}

void report_outside_memory(const void*, size_t bytes, const SourceLocation& place) {
  machine().report(cat(bytes, " bytes of device memory outside of what is allocated"), place);
}

void Machine::run_thread(void* self) {
  Machine& machine = *static_cast<Machine*>(self);
  sanitizer::acquire(&machine.begun_);
  Team& team = *machine.team_;
  sanitizer::acquire(&team.ended[(team.blocks + 1) % 2]);  // of the block that the team had before
  (*machine.body_)();
  machine.leave_thread();
}

void Machine::run(const Launch& launch, const std::function<void()>& body) {
  body_ = &body;
  start(launch);
  sanitizer::release(&begun_);
  const uint64_t blocks = uint64_t(launch.grid.x) * launch.grid.y * launch.grid.z;
  for (uint64_t i = 0; i < blocks; ++i) {
    team_ = &teams_[i % teams_.size()];
    start_block(block_at(i, blocks));
    run_block();
  }
  for (Team& team : teams_)
    for (char& ended : team.ended) sanitizer::acquire(&ended);
  launch_.kernel.clear();
}

/// The block that comes `position`-th under the schedule.
uint3 Machine::block_at(uint64_t position, uint64_t blocks) const {
  uint64_t i = position;
  if (schedule_.order == Order::reverse) i = blocks - 1 - position;
  if (schedule_.order == Order::random) i = ito::permuted_index(schedule_.seed, 0, position, blocks);
  const dim3& grid = launch_.grid;
  return {unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y)};
}

void Machine::start(const Launch& launch) {
  for (Team& team : teams_) start(team, launch);
  launch_ = launch;
  random_state_ = schedule_.seed;
  count_ = launch.block.x * launch.block.y * launch.block.z;
  blockDim = launch.block;
  gridDim = launch.grid;
}

/// Before launch_ changes.
void Machine::start(Team& team, const Launch& launch) {
  const unsigned x = launch.block.x, y = launch.block.y, count = x * y * launch.block.z;
  while (team.threads.size() < count) team.threads.push_back(std::make_unique<Thread>(run_thread, this));
  for (unsigned i = 0; i < count; ++i) {
    team.threads[i]->number = i;
    team.threads[i]->index = {i % x, i / x % y, i / (x * y)};
  }
  if (!team.shared || launch_.shared_bytes != launch.shared_bytes) {
    const size_t bytes = (launch.shared_bytes / kSharedAlign + 1) * kSharedAlign;
    team.shared.reset(static_cast<unsigned char*>(std::aligned_alloc(kSharedAlign, bytes)));
  }
}

void Machine::start_block(const uint3& index) {
  blockIdx = index;
  ++team_->blocks;
  at_barrier_ = 0;
  alive_ = count_;
  for (unsigned warp = 0; warp * 32 < count_; ++warp) {
    const unsigned lanes = count_ - warp * 32;
    team_->warps[warp].absent = lanes < 32 ? ~0u << lanes : 0;
    team_->warps[warp].open = 0;
  }
  // All ones is a NaN in every floating-point format, so that what was never written shows in the result.
  const sanitizer::Unseen by_the_host;
  std::memset(team_->shared.get(), 0xff, launch_.shared_bytes);
  ready_.fill(count_);
  for (unsigned i = 0; i < count_; ++i) {
    Thread& thread = *team_->threads[i];
    thread.async.reset();
    thread.arrays.clear();
    thread.fenced = thread.has_signalled = false;
  }
}

void Machine::run_block() {
  host_.switch_to(choose());
  current_ = nullptr;
  if (error_.empty()) return;
  for (Team& team : teams_)
    for (auto& thread : team.threads) thread->fiber.restart();
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
  current_ = team_->threads[next].get();
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
  sanitizer::release(&team_->ended[team_->blocks % 2]);
  const unsigned number = current_->number;
  current_->state = State::done;
  --alive_;
  Warp& warp = team_->warps[number / 32];
  warp.absent |= 1u << (number % 32);
  for (int i = warp.open; i-- > 0;) try_complete(number / 32, i);
  pause();
}

void Machine::barrier(const SourceLocation& place) {
  if (current_->has_signalled)
    report(
        "a barrier behind an atomic on global memory, without a fence between them: what other blocks wrote "
        "need not be seen",
        place);
  if (alive_ < count_) report("barrier after other threads of the block have returned", place);
  if (at_barrier_ > 0 && !(barrier_ == place))
    report(cat("divergent barrier: other threads wait at ", barrier_), place);
  barrier_ = place;
  current_->state = State::barrier;
  current_->place = place;
  char* const passed = &team_->barrier_passed[barriers_ % 2];
  sanitizer::release(passed);
  if (++at_barrier_ == count_) {
    at_barrier_ = 0;
    ++barriers_;
    ready_.fill(count_);
  }
  pause();
  sanitizer::acquire(passed);
}

void Machine::collective(uint32_t mask, void* mine, Combine combine, const SourceLocation& place) {
  const unsigned lane = current_->number % 32, number = current_->number / 32;
  if (!(mask >> lane & 1))
    report(cat("lane ", lane, " calls a collective whose mask ", hex(mask), " leaves it out"), place);
  Warp& warp = team_->warps[number];
  int i = 0;
  while (i < warp.open && warp.meetings[size_t(i)].mask != mask) ++i;
  Meeting& meeting = warp.meetings[size_t(i)];
  if (i == warp.open) {
    meeting = {mask, 0, place, combine, &warp.met[warp.opened++ % warp.met.size()]};
    ++warp.open;
  } else if (!(meeting.place == place)) {
    report(cat("mixed collectives: other lanes of mask ", hex(mask), " wait at ", meeting.place), place);
  }
  meeting.arrived |= 1u << lane;
  warp.brought[lane] = mine;
  current_->state = State::warp;
  current_->place = place;
  char* const met = meeting.met;
  sanitizer::release(met);
  try_complete(number, i);
  pause();
  sanitizer::acquire(met);
}

/// Ends the meeting where no lane is awaited any more: CUDA excuses lanes that have returned or never were.
bool Machine::try_complete(unsigned number, int which) {
  Warp& warp = team_->warps[number];
  Meeting& meeting = warp.meetings[size_t(which)];
  if (meeting.mask & ~(meeting.arrived | warp.absent)) return false;
  Lanes lanes(meeting.arrived, warp.brought.data());
  sanitizer::acquire(meeting.met);
  meeting.combine(lanes);
  sanitizer::release(meeting.met);
  if (lanes.bad_lane >= 0)
    record(lanes.wrong, meeting.place, *team_->threads[number * 32 + unsigned(lanes.bad_lane)]);
  ready_.insert_warp(number, meeting.arrived);
  meeting = warp.meetings[size_t(--warp.open)];
  return true;
}

void Machine::explain_deadlock() {
  std::string who;
  const Thread* example = nullptr;
  for (unsigned i = 0; i < count_; ++i) {
    const Thread& thread = *team_->threads[i];
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
  const unsigned char* const shared = team_->shared.get();
  return at >= shared && at + bytes <= shared + launch_.shared_bytes;
}

void Machine::check_array(const void* p, size_t bytes, const SourceLocation& place) {
  const auto* const at = static_cast<const unsigned char*>(p);
  for (const Array& array : current_->arrays) {
    if (at < array.begin || at >= array.begin + array.bytes) continue;
    if (at + bytes <= array.begin + array.bytes) return;
    report(cat("shared memory out of bounds: ", bytes, " bytes from byte ", at - array.begin,
               " of an array of ", array.bytes),
           place);
  }
  report("shared memory out of bounds: between the arrays that were taken", place);
}

void Machine::fence() {
  sanitizer::acquire(&fence_);
  sanitizer::release(&fence_);
  current_->fenced = true, current_->has_signalled = false;
}

void Machine::signal(const SourceLocation& place) {
  if (!current_->fenced)
    report(
        "an atomic on global memory without a fence before it: what it tells may come before what it tells "
        "of",
        place);
  current_->fenced = false, current_->has_signalled = true;
}

void Machine::record(std::string what, const SourceLocation& place, const Thread& thread) {
  if (!error_.empty()) return;
  error_ = cat(launch_.kernel, ": ", place, ": ", what, " (block ", text(blockIdx), ", thread ",
               text(thread.index), ")");
}

void Machine::report(std::string what, const SourceLocation& place) {
  record(std::move(what), place,
         *current_);  // nothing on this stack is destroyed any more: leave it nothing to free
  for (;;) pause();
}

}  // namespace simt
