#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/stack_context.hpp>
#include <cstddef>

namespace simt {

/// A function with a stack of its own: runs when resumed, until it pauses. One CUDA thread of the emulated
/// device.
class Fiber {
 public:
  /// run(argument) is called each time the fiber is resumed after having finished, so one stack serves many
  /// blocks.
  Fiber(void (*run)(void*), void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Called by the scheduler: continues the fiber until it pauses or `run` returns.
  void resume();
  /// Called by the fiber itself: back to the scheduler.
  void pause();
  /// Forgets where the fiber stood: what its stack holds is abandoned, never unwound.
  void restart();

 private:
  static void entry(boost::context::detail::transfer_t from);

  void (*run_)(void*);
  void* argument_;
  boost::context::stack_context stack_;
  boost::context::detail::fcontext_t context_ = nullptr;
  boost::context::detail::fcontext_t scheduler_ = nullptr;
  const void* scheduler_stack_ = nullptr;  // known to AddressSanitizer alone
  size_t scheduler_stack_bytes_ = 0;
};

}  // namespace simt
