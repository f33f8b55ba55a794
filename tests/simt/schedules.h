#pragma once

#include <cstddef>
#include <vector>

/// What lets one test run on the emulator (ITO_SIMT) and on a GPU: the schedules under which it runs kernels.
#if defined(ITO_SIMT)

#include "tests/simt/emulator/machine.h"
#include "tests/simt/emulator/runtime.h"

namespace simt {

inline std::vector<Schedule> all_schedules() {
#if defined(SIMT_THREAD_SANITIZER)
  return {{Order::random, 1}};  // a race is reported in whatever order its threads come
#elif defined(__SANITIZE_ADDRESS__)
  return {{Order::reverse, 0}, {Order::random, 1}};  // besides the first run, which is in order
#endif
  return {{Order::in_order, 0}, {Order::reverse, 0}, {Order::random, 1}, {Order::random, 2}};
}

/// Kernels may read and write this part of an allocation alone.
inline void show_only(void* allocation, const void* first, size_t bytes) {
  device_memory().show_only(allocation, first, bytes);
}

}  // namespace simt

#else

namespace simt {

inline void show_only(void*, const void*, size_t) {}

/// A GPU schedules its threads itself: all that can be asked for is one run more.
struct Schedule {};
inline std::vector<Schedule> all_schedules() { return {{}, {}}; }

struct Machine {
  void set_schedule(const Schedule&) {}
};
inline Machine machine() { return {}; }

}  // namespace simt

#endif
