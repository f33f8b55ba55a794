#include <cstdio>

#include "tests/simt/emulator/call.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/queue.h"
#include "tests/simt/include/cuda_runtime.h"

/// The emulated device's properties, and the names of errors.

namespace {

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};

/// The wording is CUDA's.
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable",
     "CUDA-capable device(s) is/are busy or unavailable"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const ErrorText& text_of(cudaError_t error) {
  for (const ErrorText& one : kErrors)
    if (one.error == error) return one;
  return kErrors[std::size(kErrors) - 1];
}

constexpr int kWarpThreads = 32, kThreadsOfMultiprocessor = 2048, kL2Bytes = 50 << 20;
constexpr size_t kSharedReserved = 1024;  // of each block, by CUDA

size_t shared_of_multiprocessor() { return simt::card().shared_limit + kSharedReserved; }

bool is_device(int device) { return device >= 0 && device < simt::card().count; }

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  return simt::call("cudaGetDeviceCount", [&] {
    *count = simt::card().count;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return simt::call("cudaGetDevice", [&] {
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return simt::call("cudaSetDevice",
                    [&] { return is_device(device) ? cudaSuccess : cudaErrorInvalidDevice; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return simt::call("cudaGetDeviceProperties", [&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    const simt::Card& card = simt::card();
    *properties = {};
    snprintf(properties->name, sizeof properties->name, "CUDA on a CPU");
    properties->major = card.major, properties->minor = card.minor;
    properties->totalGlobalMem = simt::device_memory().limit();
    properties->multiProcessorCount = simt::kMultiprocessors;
    properties->warpSize = kWarpThreads;
    properties->maxThreadsPerBlock = int(simt::kMaxThreads);
    properties->maxThreadsPerMultiProcessor = kThreadsOfMultiprocessor;
    properties->sharedMemPerBlock = 48 * 1024;
    properties->sharedMemPerBlockOptin = card.shared_limit;
    properties->sharedMemPerMultiprocessor = shared_of_multiprocessor();
    properties->l2CacheSize = kL2Bytes;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
  return simt::call("cudaDeviceGetAttribute", [&] {
    if (!is_device(device)) return cudaErrorInvalidDevice;
    switch (which) {
      case cudaDevAttrClockRate:
      case cudaDevAttrMemoryClockRate:
        return *value = 1000 * 1000, cudaSuccess;  // kHz; nothing here keeps time
      case cudaDevAttrMultiProcessorCount:
        return *value = simt::kMultiprocessors, cudaSuccess;
      case cudaDevAttrComputeCapabilityMajor:
        return *value = simt::card().major, cudaSuccess;
      case cudaDevAttrComputeCapabilityMinor:
        return *value = simt::card().minor, cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        return *value = int(shared_of_multiprocessor()), cudaSuccess;
      case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return *value = int(simt::card().shared_limit), cudaSuccess;
    }
    return cudaErrorInvalidValue;
  });
}

// The two versions can be asked for where nothing else can.
cudaError_t cudaDriverGetVersion(int* version) {
  simt::count_call("cudaDriverGetVersion");
  *version = simt::card().driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  simt::count_call("cudaRuntimeGetVersion");
  *version = simt::kRuntimeVersion;
  return cudaSuccess;
}

namespace simt {

cudaError_t count_blocks(int* count, const void*, int threads, size_t shared_bytes) {
  return call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    if (threads < 1 || threads > int(kMaxThreads)) return cudaErrorInvalidValue;
    const int by_threads =
        kThreadsOfMultiprocessor / ((threads + kWarpThreads - 1) / kWarpThreads * kWarpThreads);
    *count = std::min(by_threads, int(shared_of_multiprocessor() / (shared_bytes + kSharedReserved)));
    return cudaSuccess;
  });
}

}  // namespace simt
