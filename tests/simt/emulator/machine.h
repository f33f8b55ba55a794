#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/simt/emulator/async.h"
#include "tests/simt/emulator/fiber.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/ready_set.h"
#include "tests/simt/emulator/sanitizer.h"
#include "tests/simt/emulator/source_location.h"
#include "tests/simt/include/vector_types.h"

/// Executes CUDA kernels on a CPU, for tests: one cluster at a time (a cluster is one block today), each CUDA
/// thread a fiber. Threads change at barriers and warp collectives only, and the schedule chooses who is next
/// at every change.
namespace simt {

/// What a kernel did wrong: which kernel, where, which block and thread.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Order { in_order, reverse, random };
struct Schedule {
  Order order = Order::in_order;
  uint64_t seed = 0;  // of the random order
};

struct Launch {
  dim3 grid, block;
  size_t shared_bytes = 0;
  std::string kernel;  // its name, for messages
};

inline constexpr unsigned kMaxThreads = ReadySet::kMost;  // of a block

/// The lanes that have met in a warp collective: what each of them brought is on its own stack.
class Lanes {
 public:
  Lanes(uint32_t present, void* const* brought) : present_(present), brought_(brought) {}
  uint32_t present() const { return present_; }
  bool has(int lane) const { return present_ >> lane & 1; }
  template <class T>
  T& at(int lane) const {
    return *static_cast<T*>(brought_[lane]);
  }
  /// Calls use(lane, its T) in order.
  template <class T, class Use>
  void each(Use use) const {
    for (uint32_t left = present_; left; left &= left - 1) {
      const int lane = __builtin_ctz(left);
      use(lane, at<T>(lane));
    }
  }
  /// Something is wrong with what this lane brought.
  void refuse(int lane, std::string why) { bad_lane = lane, wrong = std::move(why); }

  int bad_lane = -1;
  std::string wrong;

 private:
  uint32_t present_;
  void* const* brought_;
};

/// What a collective does with its lanes, once they are there.
using Combine = void (*)(Lanes&);

class Machine {
 public:
  Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void set_schedule(const Schedule& schedule) { schedule_ = schedule; }
  const Schedule& schedule() const { return schedule_; }

  /// Calls body() in every thread of every block of the grid. Throws Violation.
  void run(const Launch&, const std::function<void()>& body);
  /// Of the kernel that runs; empty between kernels.
  const std::string& kernel() const { return launch_.kernel; }

  // What a running thread asks for.
  void barrier(const SourceLocation&);
  /// A warp collective: waits for every lane of `mask`; the last one combines what all have brought.
  void collective(uint32_t mask, void* mine, Combine, const SourceLocation&);
  int lane() const { return int(current_->number % 32); }
  AsyncCopies& async_copies() { return current_->async; }
  unsigned char* shared() { return team_->shared.get(); }
  size_t shared_bytes() const { return launch_.shared_bytes; }
  bool is_shared(const void* p, size_t bytes) const;
  /// The running thread has cut an array out of the block's shared memory.
  void note_array(const unsigned char* begin, size_t bytes) { current_->arrays.push_back({begin, bytes}); }
  /// Reports an access to shared memory that does not stay in one of the running thread's arrays.
  void check_array(const void* p, size_t bytes, const SourceLocation&);
  /// What came before it in the threads that have passed one, is seen by those that pass one later.
  void fence();
  /// An atomic operation on global memory, by which blocks tell each other something: what they tell is seen only with
  /// a fence before it and another one behind it, before the next barrier.
  void signal(const SourceLocation&);
  /// Ends the launch with a Violation. Never returns to the thread: what its stack owns is not freed.
  [[noreturn]] void report(std::string what, const SourceLocation&);

 private:
  enum class State : uint8_t { running, barrier, warp, done };
  struct Array {
    const unsigned char* begin;
    size_t bytes;
  };
  struct Thread {
    Thread(void (*run)(void*), void* machine) : fiber(run, machine) {}
    Fiber fiber;
    uint3 index{};
    unsigned number = 0;           // of the thread in its block
    State state = State::running;  // or what it waited for last
    SourceLocation place{};        // where
    AsyncCopies async;
    std::vector<Array> arrays;   // of the block's shared memory, as this thread has cut it
    bool fenced = false;         // since it has signalled, or begun
    bool has_signalled = false;  // and passed no fence since
  };
  /// Lanes of one warp that wait for each other.
  struct Meeting {
    uint32_t mask, arrived;
    SourceLocation place;
    Combine combine;
    char* met;  // for ThreadSanitizer: what its lanes are ordered by
  };
  struct Warp {
    uint32_t absent = 0;  // lanes that have returned or never were
    int open = 0;         // meetings that wait for lanes
    std::array<Meeting, 32> meetings;
    std::array<void*, 32> brought;
    unsigned opened = 0;
    std::array<char, 64> met;  // in turn, so that a meeting does not order the one before
  };
  struct FreeDeleter {
    void operator()(void* p) const { std::free(p); }
  };

  /// Executes one block at a time. Blocks of a launch are ordered by nothing; so that ThreadSanitizer sees
  /// it, one block and the next have nothing in common there but the device's memory.
  struct Team {
    std::vector<std::unique_ptr<Thread>> threads;
    std::array<Warp, kMaxThreads / 32> warps;
    std::unique_ptr<unsigned char, FreeDeleter> shared;
    // For ThreadSanitizer: what barriers order and what ends of blocks order; two, so that each orders itself
    // alone.
    unsigned blocks = 0;
    char barrier_passed[2], ended[2];
  };

  static void run_thread(void* machine);
  void start(const Launch&);
  void start(Team&, const Launch&);
  uint3 block_at(uint64_t position, uint64_t blocks) const;
  void start_block(const uint3& index);
  void run_block();
  void leave_thread();
  void pause();
  Fiber& choose();
  unsigned next_thread();
  bool try_complete(unsigned warp, int meeting);
  void explain_deadlock();
  void record(std::string what, const SourceLocation&, const Thread&);

  Schedule schedule_;
  uint64_t random_state_ = 0;
  Launch launch_;
  const std::function<void()>* body_ = nullptr;
  Fiber host_;
  std::array<Team, sanitizer::kTeams> teams_;
  Team* team_ = nullptr;
  unsigned count_ = 0;  // threads of the block
  Thread* current_ = nullptr;
  ReadySet ready_;
  unsigned at_barrier_ = 0, alive_ = 0;
  SourceLocation barrier_{};
  unsigned barriers_ = 0;
  char begun_, fence_;  // for ThreadSanitizer
  std::string error_;
};

/// The one emulated device of a process: CUDA's own interface (threadIdx, cudaMalloc) knows no other way to
/// name it.
Machine& machine();

[[noreturn]] void report_misaligned(const void*, size_t bytes, const SourceLocation&);
/// Of an address from which so many bytes (a power of two) are moved at once.
inline void check_aligned(const void* p, size_t bytes, const SourceLocation& place) {
  if (reinterpret_cast<uintptr_t>(p) & (bytes - 1)) report_misaligned(p, bytes, place);
}

/// Of an access that is wider than an element: its first one was checked, or it is not in shared memory.
inline void check_within_array(const void* p, size_t bytes, const SourceLocation& place) {
  if (machine().is_shared(p, 1)) machine().check_array(p, bytes, place);
}

[[noreturn]] void report_outside_memory(const void*, size_t bytes, const SourceLocation&);
/// Of an access to device memory.
inline void check_shown(const void* p, size_t bytes, const SourceLocation& place) {
  if (device_memory().owns(p) && !device_memory().is_shown(p, bytes)) report_outside_memory(p, bytes, place);
}

/// Of a read, by one access, of any memory.
inline void check_read(const void* p, size_t bytes, const SourceLocation& place) {
  if (machine().is_shared(p, 1))
    machine().check_array(p, bytes, place);
  else
    check_shown(p, bytes, place);
}

/// Of a write that goes to global memory whatever the address.
inline void check_global(const void* p, size_t bytes, const SourceLocation& place) {
  if (machine().is_shared(p, bytes))
    machine().report("a write to global memory got an address in shared memory", place);
  check_shown(p, bytes, place);
}

}  // namespace simt
