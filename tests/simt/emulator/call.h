#pragma once

#include <mutex>

#include "tests/simt/emulator/runtime.h"

/// What surrounds each function of the emulated runtime.
namespace simt {

/// The emulated device's properties that tests change.
struct Card {
  int count = 1, major = 9, minor = 0, driver = 13000;
  size_t shared_limit = kSharedLimit;
};
inline constexpr int kRuntimeVersion = 13000, kMultiprocessors = 132;

Card& card();

/// Functions of the runtime may be called by any thread.
std::recursive_mutex& runtime_mutex();

void count_call(const char* name);
/// Counts the call; the error that it returns instead of being carried out, if any.
cudaError_t begin_call(const char* name);
/// Remembers the error for cudaGetLastError().
cudaError_t end_call(cudaError_t);

template <class Body>
cudaError_t call(const char* name, Body body) {
  const std::lock_guard lock(runtime_mutex());
  const cudaError_t error = begin_call(name);
  return end_call(error != cudaSuccess ? error : body());
}

/// A call that gives something back: on a lost device it returns the error, too, but nothing leaks.
template <class Body>
cudaError_t give_back(const char* name, Body body) {
  const std::lock_guard lock(runtime_mutex());
  const cudaError_t error = begin_call(name), done = body();
  return end_call(error != cudaSuccess ? error : done);
}

}  // namespace simt
