#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <initializer_list>
#include <string>

#include "kernels/cuda_launch.h"
#include "tests/simt/device_array.h"
#include "tests/simt/emulator/runtime.h"

/// What the emulator's own tests share: running a kernel that is wrong, and looking at what is reported of it.
namespace simt {

inline ito::kernels::LaunchConfig config(dim3 grid, dim3 block, size_t shared_bytes = 0) {
  ito::kernels::LaunchConfig config;
  config.grid = grid, config.block = block, config.shared_bytes = shared_bytes;
  return config;
}

/// The sentence with which the emulator ends `run` under a schedule, or nothing.
inline std::string violation(const Schedule& schedule, const std::function<void()>& run) {
  machine().set_schedule(schedule);
  try {
    run();
    finish();
  } catch (const Violation& wrong) {
    return wrong.what();
  }
  return "";
}

/// Under every schedule the sentence contains all of `parts`.
inline void check_caught(const std::function<void()>& run, std::initializer_list<const char*> parts) {
  for (const Schedule& schedule : all_schedules()) {
    const std::string said = violation(schedule, run);
    for (const char* part : parts)
      CHECK_MESSAGE(said.find(part) != std::string::npos, "\"", said, "\" lacks ", std::string(part));
  }
}

}  // namespace simt
