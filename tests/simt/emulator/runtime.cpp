#include "tests/simt/emulator/runtime.h"

#include <map>
#include <vector>

#include "tests/simt/emulator/call.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/queue.h"

namespace simt {

namespace {

struct Fault {
  std::string call;
  int calls_left;
  cudaError_t error;
};

struct Calls {
  std::map<std::string, int, std::less<>> counts;
  std::vector<Fault> faults;
  cudaError_t last = cudaSuccess;
  cudaError_t sticky = cudaSuccess;  // the device has not survived this
};

Calls& calls_made() {
  static Calls one;
  return one;
}

bool is_sticky(cudaError_t error) {
  return error == cudaErrorLaunchFailure || error == cudaErrorIllegalAddress ||
         error == cudaErrorLaunchTimeout || error == cudaErrorECCUncorrectable;
}

/// What every call says where there is no device to use.
cudaError_t availability() {
  if (card().driver < kRuntimeVersion) return cudaErrorInsufficientDriver;
  return card().count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

}  // namespace

Card& card() {
  static Card one;
  return one;
}

std::recursive_mutex& runtime_mutex() {
  static std::recursive_mutex one;
  return one;
}

void count_call(const char* name) {
  auto& counts = calls_made().counts;
  const auto found = counts.find(name);
  if (found != counts.end())
    ++found->second;
  else
    counts[name] = 1;
}

cudaError_t begin_call(const char* name) {
  count_call(name);
  auto& faults = calls_made().faults;
  for (size_t i = 0; i < faults.size(); ++i) {
    if (faults[i].call != name || --faults[i].calls_left > 0) continue;
    const cudaError_t error = faults[i].error;
    faults.erase(faults.begin() + ptrdiff_t(i));
    return error;
  }
  return calls_made().sticky != cudaSuccess ? calls_made().sticky : availability();
}

cudaError_t end_call(cudaError_t error) {
  if (is_sticky(error) && calls_made().sticky == cudaSuccess) {
    calls_made().sticky = error;
    queues().discard_all();
  }
  if (error != cudaSuccess && error != cudaErrorNotReady) calls_made().last = error;
  return error;
}

void set_shared_limit(size_t bytes) { card().shared_limit = bytes; }
void set_memory_limit(size_t bytes) { device_memory().set_limit(bytes); }
void set_device_count(int count) { card().count = count; }
void set_compute_capability(int major, int minor) { card().major = major, card().minor = minor; }
void set_driver_version(int version) { card().driver = version; }

void fail_after(const std::string& call, int nth, cudaError_t error) {
  calls_made().faults.push_back({call, nth, error});
}

int calls(const std::string& call) {
  const auto found = calls_made().counts.find(call);
  return found == calls_made().counts.end() ? 0 : found->second;
}
void reset_calls() { calls_made().counts.clear(); }

void reset_device() {
  const std::lock_guard lock(runtime_mutex());
  queues().forget_all();
  device_memory().release_all();
  device_memory().set_limit(DeviceMemory::kDefaultLimit);
  calls_made() = {};
  card() = {};
}

}  // namespace simt

using simt::calls_made;

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(simt::runtime_mutex());
  return calls_made().sticky != cudaSuccess ? calls_made().sticky : calls_made().last;
}
cudaError_t cudaGetLastError() {
  const std::lock_guard lock(simt::runtime_mutex());
  const cudaError_t error = cudaPeekAtLastError();
  calls_made().last = cudaSuccess;
  return error;
}
