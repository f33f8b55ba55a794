#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/stack_context.hpp>
#include <cstddef>

namespace simt {

/// A function with a stack of its own: one CUDA thread of the emulated device. Fibers hand the processor to
/// each other directly.
class Fiber {
 public:
  /// The stack that runs already: the host's.
  Fiber() = default;
  /// run(argument) ends by switching away; it is called again when the fiber is continued after that, so one
  /// stack serves many blocks.
  Fiber(void (*run)(void*), void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Leaves this fiber, which is running, and continues `next` where it stood.
  void switch_to(Fiber& next);
  /// Forgets where the fiber stood: what its stack holds is abandoned, never unwound.
  void restart();

 private:
  static void entry(boost::context::detail::transfer_t from);
  void arrive(boost::context::detail::transfer_t from, void* fake_stack);

  void (*run_)(void*) = nullptr;
  void* argument_ = nullptr;
  boost::context::stack_context stack_;
  boost::context::detail::fcontext_t context_ = nullptr;
  Fiber* previous_ = nullptr;  // the one that switched here
  void* thread_ = nullptr;     // as ThreadSanitizer sees it
};

}  // namespace simt
