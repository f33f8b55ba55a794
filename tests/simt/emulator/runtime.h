#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "tests/simt/include/runtime_types.h"

/// What tests may do to the emulated runtime, and ask of it.
namespace simt {

/// Shared memory that the emulated device gives a block; tests lower it to reach the paths of smaller cards.
void set_shared_limit(size_t bytes);
inline constexpr size_t kSharedLimit = 227 * 1024;  // compute capability 9.0

/// Bytes of device memory, 4 GiB by default.
void set_memory_limit(size_t bytes);
/// 0: as on a machine without a GPU.
void set_device_count(int count);
void set_compute_capability(int major, int minor);
/// CUDA's version that the driver supports, as 1000 major + 10 minor; 0: no driver is installed.
void set_driver_version(int version);

/// The nth call of a function of the runtime from now on (1: the next) returns an error instead of doing
/// anything. After one that a device does not survive (cudaErrorLaunchFailure ...) every later call returns
/// it.
void fail_after(const std::string& call, int nth, cudaError_t error);

/// How often a function was called since reset_calls(). Kernels count as "cudaLaunchKernelEx"; copies count
/// under their direction, besides: "cudaMemcpyHostToDevice".
int calls(const std::string& call);
void reset_calls();

/// As a new process finds the device: nothing allocated, queued or failed, all limits as they were. Streams
/// that live on are unknown to it.
void reset_device();

/// Runs everything that is queued. Throws a Violation that was found since the last time, even by a call that
/// may not throw (a destructor's).
void finish();

/// Queues host code that may touch device memory: how a library's answer is emulated. It becomes part of a
/// graph that is captured.
cudaError_t run_in_stream(cudaStream_t, std::function<void()> work);

/// What a destructor has found, which may not throw: the next call that may, does so.
void report_later(const std::string& violation);

struct Executed {
  std::string name;        // without namespace and template arguments
  size_t most_shared = 0;  // bytes of dynamic shared memory in a launch
};
/// The kernels that this process has executed, by symbol: nvcc's name for them.
const std::map<std::string, Executed>& executed_kernels();

}  // namespace simt
