#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/simt/emulator/fiber.h"
#include "tests/simt/emulator/ready_set.h"
#include "tests/simt/include/vector_types.h"

/// Executes CUDA kernels on a CPU, for tests: one cluster at a time (a cluster is one block today), each CUDA
/// thread a fiber. Threads change at barriers and warp collectives only, and the schedule chooses who is next
/// at every change.
namespace simt {

/// A place in a kernel's source, for messages.
struct Place {
  const char* file;
  int line;
};
bool operator==(const Place&, const Place&);
std::ostream& operator<<(std::ostream&, const Place&);

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

class Machine {
 public:
  Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void set_schedule(const Schedule& schedule) { schedule_ = schedule; }

  /// Calls body() in every thread of every block of the grid. Throws Violation.
  void run(const Launch&, const std::function<void()>& body);

  // What a running thread asks for.
  void barrier(const Place&);
  /// A warp collective: every lane of `mask` gives a value and gets that of lane `source`.
  uint64_t exchange(uint32_t mask, uint64_t value, int source, const Place&);
  int lane() const { return int(current_->number % 32); }
  unsigned char* shared() { return block_.shared.get(); }
  size_t shared_bytes() const { return launch_.shared_bytes; }
  /// Ends the launch with a Violation. Never returns to the thread: what its stack owns is not freed.
  [[noreturn]] void report(std::string what, const Place&);

 private:
  enum class State : uint8_t { ready, barrier, warp, done };
  struct Thread {
    Thread(void (*run)(void*), void* machine) : fiber(run, machine) {}
    Fiber fiber;
    uint3 index{};
    unsigned number = 0;  // of the thread in its block
    State state = State::ready;
    Place place{};          // where it waits
    uint64_t received = 0;  // from the last collective
  };
  /// Lanes of one warp that wait for each other.
  struct Rendezvous {
    uint32_t mask = 0, arrived = 0;
    Place place{};
    uint64_t value[32];
    int source[32];
  };
  struct FreeDeleter {
    void operator()(void* p) const { std::free(p); }
  };
  struct Block {
    unsigned at_barrier = 0, alive = 0;
    Place barrier{};
    std::vector<std::vector<Rendezvous>> warps;  // the open ones of each warp
    std::unique_ptr<unsigned char, FreeDeleter> shared;
  };

  static void run_thread(void* machine);
  void start_block(const uint3& index);
  void run_block();
  void finish_thread();
  void make_ready(unsigned thread);
  unsigned next_thread();
  void release_barrier();
  bool try_complete(unsigned warp, const Rendezvous&);
  void complete_open(unsigned warp);
  void explain_deadlock();
  void record(std::string what, const Place&, const Thread&);

  Schedule schedule_;
  uint64_t random_state_ = 0;
  Launch launch_;
  const std::function<void()>* body_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  unsigned count_ = 0;  // threads of the block
  Thread* current_ = nullptr;
  ReadySet ready_;
  Block block_;
  std::string error_;
};

/// The one emulated device of a process: CUDA's own interface (threadIdx, cudaMalloc) knows no other way to
/// name it.
Machine& machine();

}  // namespace simt
