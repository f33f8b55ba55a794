#include "tests/simt/emulator/fiber.h"

#include <boost/context/protected_fixedsize_stack.hpp>

// AddressSanitizer must be told when the stack changes or is abandoned; without it the calls are nothing.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
static void __asan_unpoison_memory_region(const volatile void*, size_t) {}
static void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
static void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

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
      stack_(boost::context::protected_fixedsize_stack(kStackBytes).allocate()) {
  restart();
}

Fiber::~Fiber() { boost::context::protected_fixedsize_stack(kStackBytes).deallocate(stack_); }

void Fiber::restart() {
  // Abandoned frames have left their red zones behind; the guard page below is not touched by this.
  __asan_unpoison_memory_region(static_cast<char*>(stack_.sp) - stack_.size, stack_.size);
  context_ = context::make_fcontext(stack_.sp, stack_.size, entry);
}

void Fiber::entry(context::transfer_t from) {
  Fiber& self = *static_cast<Fiber*>(from.data);
  self.scheduler_ = from.fctx;
  __sanitizer_finish_switch_fiber(nullptr, &self.scheduler_stack_, &self.scheduler_stack_bytes_);
  for (;;) {
    self.run_(self.argument_);
    self.pause();
  }
}

void Fiber::resume() {
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, static_cast<char*>(stack_.sp) - stack_.size, stack_.size);
  context_ = context::jump_fcontext(context_, this).fctx;
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
}

void Fiber::pause() {
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, scheduler_stack_, scheduler_stack_bytes_);
  scheduler_ = context::jump_fcontext(scheduler_, nullptr).fctx;
  __sanitizer_finish_switch_fiber(fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
}

}  // namespace simt
