#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(SIMT_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
// Of the library, without a header.
extern "C" void AnnotateIgnoreWritesBegin(const char* file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char* file, int line);
#endif

/// What the sanitizers must know of stacks and of synchronisation; nothing in builds without them. The
/// emulator is not instrumented for ThreadSanitizer (its bookkeeping would drown the kernels' races), so its
/// build says by SIMT_THREAD_SANITIZER that the program is.
namespace simt::sanitizer {

// ---- AddressSanitizer: which stack is in use ----

#if defined(__SANITIZE_ADDRESS__)
inline void stack_is_empty(void* bottom, size_t bytes) { __asan_unpoison_memory_region(bottom, bytes); }
inline void leave_stack(void** state, const void* next_bottom, size_t next_bytes) {
  __sanitizer_start_switch_fiber(state, next_bottom, next_bytes);
}
inline void enter_stack(void* state, const void** left_bottom, size_t* left_bytes) {
  __sanitizer_finish_switch_fiber(state, left_bottom, left_bytes);
}
#else
inline void stack_is_empty(void*, size_t) {}
inline void leave_stack(void**, const void*, size_t) {}
inline void enter_stack(void*, const void**, size_t*) {}
#endif

// ---- ThreadSanitizer: who runs, and what is ordered. A switch alone orders nothing ----

#if defined(SIMT_THREAD_SANITIZER)
inline void* this_thread() { return __tsan_get_current_fiber(); }
inline void* make_thread() { return __tsan_create_fiber(0); }
inline void end_thread(void* thread) { __tsan_destroy_fiber(thread); }
inline void switch_thread(void* thread) { __tsan_switch_to_fiber(thread, __tsan_switch_to_fiber_no_sync); }
inline void acquire(void* what) { __tsan_acquire(what); }
inline void release(void* what) { __tsan_release(what); }
/// While it lives, writes are not seen.
struct Unseen {
  Unseen() { AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
  ~Unseen() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__); }
};
inline constexpr int kTeams = 2;  // of fibers, see Machine::Team
#else
inline void* this_thread() { return nullptr; }
inline void* make_thread() { return nullptr; }
inline void end_thread(void*) {}
inline void switch_thread(void*) {}
inline void acquire(void*) {}
inline void release(void*) {}
struct Unseen {
  Unseen() {}
};
inline constexpr int kTeams = 1;
#endif

}  // namespace simt::sanitizer
