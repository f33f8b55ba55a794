#pragma once

#include <chrono>

namespace ito {

/// Seconds of a clock that only runs forward; only differences mean something.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace ito
