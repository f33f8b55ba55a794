#include "tests/simt/emulator/machine.h"

#include <cstdio>
#include <cstring>

#include "kernels/error.h"

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

std::ostream& operator<<(std::ostream& out, const Place& p) { return out << p.file << ":" << p.line; }

bool operator==(const Place& a, const Place& b) {
  return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

Machine& machine() {
  static Machine one;
  return one;
}

void Machine::run_thread(void* self) {
  Machine& machine = *static_cast<Machine*>(self);
  (*machine.body_)();
  machine.finish_thread();
}

void Machine::run(const Launch& launch, const std::function<void()>& body) {
  launch_ = launch;
  body_ = &body;
  random_state_ = schedule_.seed;
  count_ = launch.block.x * launch.block.y * launch.block.z;
  while (threads_.size() < count_) threads_.push_back(std::make_unique<Thread>(run_thread, this));
  for (unsigned i = 0; i < count_; ++i) {
    const unsigned x = launch.block.x, y = launch.block.y;
    threads_[i]->number = i;
    threads_[i]->index = {i % x, i / x % y, i / (x * y)};
  }
  const size_t bytes = (launch.shared_bytes / kSharedAlign + 1) * kSharedAlign;
  block_.shared.reset(static_cast<unsigned char*>(std::aligned_alloc(kSharedAlign, bytes)));
  blockDim = launch.block;
  gridDim = launch.grid;
  for (unsigned z = 0; z < launch.grid.z; ++z)
    for (unsigned y = 0; y < launch.grid.y; ++y)
      for (unsigned x = 0; x < launch.grid.x; ++x) {
        start_block({x, y, z});
        run_block();
      }
}

void Machine::start_block(const uint3& index) {
  blockIdx = index;
  block_.at_barrier = 0;
  block_.alive = count_;
  block_.warps.assign((count_ + 31) / 32, {});
  // All ones is a NaN in every floating-point format, so that what was never written shows in the result.
  std::memset(block_.shared.get(), 0xff, launch_.shared_bytes);
  ready_.reset(count_);
  for (unsigned i = 0; i < count_; ++i) make_ready(i);
}

void Machine::run_block() {
  while (block_.alive > 0 && error_.empty()) {
    const unsigned next = next_thread();
    if (next == ReadySet::kNone) {
      explain_deadlock();
      break;
    }
    ready_.erase(next);
    current_ = threads_[next].get();
    threadIdx = current_->index;
    current_->fiber.resume();
  }
  if (error_.empty()) return;
  for (auto& thread : threads_) thread->fiber.restart();
  const std::string message = std::move(error_);
  error_.clear();
  throw Violation(message);
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

void Machine::make_ready(unsigned thread) {
  threads_[thread]->state = State::ready;
  ready_.insert(thread);
}

void Machine::finish_thread() {
  current_->state = State::done;
  --block_.alive;
  complete_open(current_->number / 32);
}

void Machine::barrier(const Place& place) {
  if (block_.alive < count_) report("barrier after other threads of the block have returned", place);
  if (block_.at_barrier > 0 && !(block_.barrier == place))
    report(cat("divergent barrier: other threads wait at ", block_.barrier), place);
  block_.barrier = place;
  current_->state = State::barrier;
  current_->place = place;
  if (++block_.at_barrier == count_) release_barrier();
  current_->fiber.pause();
}

void Machine::release_barrier() {
  block_.at_barrier = 0;
  for (unsigned i = 0; i < count_; ++i) make_ready(i);
}

uint64_t Machine::exchange(uint32_t mask, uint64_t value, int source, const Place& place) {
  const unsigned lane = current_->number % 32, warp = current_->number / 32;
  if (!(mask >> lane & 1))
    report(cat("lane ", lane, " calls a collective whose mask ", hex(mask), " leaves it out"), place);
  auto& open = block_.warps[warp];
  Rendezvous* meeting = nullptr;
  for (Rendezvous& r : open)
    if (r.mask == mask) meeting = &r;
  if (meeting && !(meeting->place == place))
    report(cat("mixed collectives: other lanes of mask ", hex(mask), " wait at ", meeting->place), place);
  if (!meeting) {
    meeting = &open.emplace_back();
    meeting->mask = mask;
    meeting->place = place;
  }
  meeting->arrived |= 1u << lane;
  meeting->value[lane] = value;
  meeting->source[lane] = source;
  current_->state = State::warp;
  current_->place = place;
  complete_open(warp);
  current_->fiber.pause();
  return current_->received;
}

void Machine::complete_open(unsigned warp) {
  auto& open = block_.warps[warp];
  for (size_t i = open.size(); i-- > 0;)
    if (try_complete(warp, open[i])) open.erase(open.begin() + ptrdiff_t(i));
}

bool Machine::try_complete(unsigned warp, const Rendezvous& meeting) {
  const unsigned first = warp * 32;
  for (unsigned lane = 0; lane < 32 && first + lane < count_; ++lane) {
    const bool awaited = (meeting.mask >> lane & 1) && !(meeting.arrived >> lane & 1);
    // CUDA excuses lanes that have returned or never were.
    if (awaited && threads_[first + lane]->state != State::done) return false;
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (!(meeting.arrived >> lane & 1)) continue;
    Thread& thread = *threads_[first + lane];
    const int source = meeting.source[lane];
    if (!(meeting.arrived >> source & 1)) {
      record(cat("lane ", lane, " reads lane ", source, ", which takes no part in the collective"),
             meeting.place, thread);
      return true;
    }
    thread.received = meeting.value[source];
    make_ready(first + lane);
  }
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
  const bool exited = block_.alive < count_ && block_.at_barrier == block_.alive;
  record(cat(exited ? "threads returned while others wait at a barrier: " : "deadlock: ", who),
         example->place, *example);
}

void Machine::record(std::string what, const Place& place, const Thread& thread) {
  if (!error_.empty()) return;
  error_ = cat(launch_.kernel, ": ", place, ": ", what, " (block ", text(blockIdx), ", thread ",
               text(thread.index), ")");
}

void Machine::report(std::string what, const Place& place) {
  record(std::move(what), place,
         *current_);  // nothing on this stack is destroyed any more: leave it nothing to free
  for (;;) current_->fiber.pause();
}

}  // namespace simt
