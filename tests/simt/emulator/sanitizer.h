#pragma once

#include <cstddef>

/// What the sanitizers must be told; without them the calls are nothing.
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
inline void __asan_unpoison_memory_region(const volatile void*, size_t) {}
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

// The emulator itself is not instrumented (its bookkeeping would drown the kernels' races), so the build says
// that the program is.
#if defined(SIMT_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#else
inline constexpr unsigned __tsan_switch_to_fiber_no_sync = 1;
inline void* __tsan_get_current_fiber() { return nullptr; }
inline void* __tsan_create_fiber(unsigned) { return nullptr; }
inline void __tsan_destroy_fiber(void*) {}
inline void __tsan_switch_to_fiber(void*, unsigned) {}
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
#endif
