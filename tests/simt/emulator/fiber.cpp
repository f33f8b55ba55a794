#include "tests/simt/emulator/fiber.h"

#include <boost/context/protected_fixedsize_stack.hpp>

#include "tests/simt/emulator/sanitizer.h"

namespace simt {

namespace context = boost::context::detail;

namespace {
// Kernels keep small arrays only; a guard page below turns an overflow into a crash instead of a wrong
// number.
constexpr size_t kStackBytes = 128 * 1024;
}  // namespace

Fiber::Fiber(void (*run)(void*), void* argument)
    : run_(run),
      argument_(argument),
      stack_(boost::context::protected_fixedsize_stack(kStackBytes).allocate()),
      thread_(__tsan_create_fiber(0)) {
  restart();
}

Fiber::~Fiber() {
  if (!run_) return;
  __tsan_destroy_fiber(thread_);
  boost::context::protected_fixedsize_stack(kStackBytes).deallocate(stack_);
}

void Fiber::restart() {
  // Abandoned frames have left their red zones behind; the guard page below is not touched by this.
  __asan_unpoison_memory_region(static_cast<char*>(stack_.sp) - stack_.size, stack_.size);
  context_ = context::make_fcontext(stack_.sp, stack_.size, entry);
}

void Fiber::entry(context::transfer_t from) {
  Fiber& self = *static_cast<Fiber*>(from.data);
  self.arrive(from, nullptr);
  for (;;) self.run_(self.argument_);
}

void Fiber::arrive(context::transfer_t from, void* fake_stack) {
  Fiber& left = *previous_;
  left.context_ = from.fctx;
  const void* bottom = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
  if (left.run_ || !bottom) return;
  left.stack_.size = bytes;  // the host's stack becomes known when it is left
  left.stack_.sp = static_cast<char*>(const_cast<void*>(bottom)) + bytes;
}

void Fiber::switch_to(Fiber& next) {
  next.previous_ = this;
  if (!run_) thread_ = __tsan_get_current_fiber();
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, static_cast<char*>(next.stack_.sp) - next.stack_.size,
                                 next.stack_.size);
  __tsan_switch_to_fiber(next.thread_, __tsan_switch_to_fiber_no_sync);
  const context::transfer_t from = context::jump_fcontext(next.context_, &next);
  arrive(from, fake_stack);
}

}  // namespace simt
