#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "tests/simt/emulator/call.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/queue.h"
#include "tests/simt/include/cuda_runtime.h"

/// Allocations and copies of the emulated runtime.
namespace simt {

namespace {

/// Page-locked memory of the host: the device reads and writes it by itself, when a copy runs.
class PinnedMemory {
 public:
  void* allocate(size_t bytes) {
    constexpr size_t kPage = 4096;
    auto* const memory =
        static_cast<unsigned char*>(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage));
    if (!memory) return nullptr;
    std::memset(memory, 0xff, bytes);
    pieces_[memory] = bytes;
    return memory;
  }
  bool release(void* memory) {
    if (pieces_.erase(static_cast<unsigned char*>(memory)) == 0) return false;
    std::free(memory);
    return true;
  }
  bool contains(const void* p, size_t bytes) const {
    auto* const at = static_cast<unsigned char*>(const_cast<void*>(p));
    auto found = pieces_.upper_bound(at);
    if (found == pieces_.begin()) return false;
    --found;
    return at + bytes <= found->first + found->second;
  }

 private:
  std::map<unsigned char*, size_t> pieces_;
};

PinnedMemory& pinned_memory() {
  static PinnedMemory one;
  return one;
}

/// Carries out a copy when its turn comes. What comes from pageable memory is taken along at once, as CUDA's
/// staging does.
cudaError_t push_copy(CUstream_st& stream, void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool from_device = device_memory().owns(from), to_device = device_memory().owns(to);
  const auto direction = cudaMemcpyKind(2 * int(from_device) + int(to_device));
  if (kind > cudaMemcpyDefault || (kind != cudaMemcpyDefault && kind != direction))
    return cudaErrorInvalidMemcpyDirection;
  if ((from_device && !device_memory().contains(from, bytes)) ||
      (to_device && !device_memory().contains(to, bytes)))
    return cudaErrorInvalidValue;
  constexpr const char* kNames[] = {"cudaMemcpyHostToHost", "cudaMemcpyHostToDevice",
                                    "cudaMemcpyDeviceToHost", "cudaMemcpyDeviceToDevice"};
  count_call(kNames[direction]);
  const bool from_pageable = !from_device && !pinned_memory().contains(from, bytes);
  const bool to_pageable = !to_device && !pinned_memory().contains(to, bytes);
  if (stream.capture && (from_pageable || to_pageable))
    return stream.capture->broken = true, cudaErrorStreamCaptureUnsupported;
  if (bytes == 0) return cudaSuccess;
  if (!from_pageable) return queues().push(stream, [=] { std::memcpy(to, from, bytes); });
  const auto* const source = static_cast<const unsigned char*>(from);
  return queues().push(
      stream, [to, staged = std::make_shared<const std::vector<unsigned char>>(source, source + bytes)] {
        std::memcpy(to, staged->data(), staged->size());
      });
}

cudaError_t push_fill(CUstream_st& stream, void* memory, int byte, size_t bytes) {
  if (!device_memory().contains(memory, bytes)) return cudaErrorInvalidValue;
  return queues().push(stream, [=] { std::memset(memory, byte, bytes); });
}

/// Through the legacy stream, and waited for.
template <class Push>
cudaError_t at_once(const char* name, Push push) {
  return call(name, [&] {
    if (const cudaError_t error = queues().check_unsafe(); error != cudaSuccess) return error;
    queues().throw_kept();
    CUstream_st& legacy = *queues().find(nullptr);
    const cudaError_t error = push(legacy);
    queues().drain(legacy);
    return error;
  });
}

template <class Push>
cudaError_t in_stream(const char* name, cudaStream_t handle, Push push) {
  return call(name, [&] {
    CUstream_st* const stream = queues().find(handle);
    return stream ? push(*stream) : cudaErrorInvalidResourceHandle;
  });
}

cudaError_t allocate_host(const char* name, void** memory, size_t bytes) {
  return call(name, [&] {
    if (const cudaError_t error = queues().check_unsafe(); error != cudaSuccess) return error;
    *memory = bytes ? pinned_memory().allocate(bytes) : nullptr;
    return *memory || !bytes ? cudaSuccess : cudaErrorMemoryAllocation;
  });
}

/// Waits for the device first, so that what is queued may use the memory.
template <class Memory>
cudaError_t release(const char* name, Memory& from, void* memory) {
  return give_back(name, [&] {
    if (const cudaError_t error = queues().check_unsafe(); error != cudaSuccess) return error;
    if (!memory) return cudaSuccess;
    queues().drain_all_quietly();
    return from.release(memory) ? cudaSuccess : cudaErrorInvalidValue;
  });
}

}  // namespace
}  // namespace simt

using simt::device_memory;

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  return simt::call("cudaMalloc", [&] {
    if (const cudaError_t error = simt::queues().check_unsafe(); error != cudaSuccess) return error;
    *memory = bytes ? device_memory().allocate(bytes) : nullptr;
    return *memory || !bytes ? cudaSuccess : cudaErrorMemoryAllocation;
  });
}
cudaError_t cudaFree(void* memory) { return simt::release("cudaFree", device_memory(), memory); }

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  return simt::allocate_host("cudaMallocHost", memory, bytes);
}
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  return simt::allocate_host("cudaHostAlloc", memory, bytes);
}
cudaError_t cudaFreeHost(void* memory) {
  return simt::release("cudaFreeHost", simt::pinned_memory(), memory);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  return simt::call("cudaMemGetInfo", [&] {
    *total = device_memory().limit();
    *free = *total - std::min(*total, device_memory().used());
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return simt::at_once("cudaMemcpy",
                       [&](CUstream_st& stream) { return simt::push_copy(stream, to, from, bytes, kind); });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t handle) {
  return simt::in_stream("cudaMemcpyAsync", handle,
                         [&](CUstream_st& stream) { return simt::push_copy(stream, to, from, bytes, kind); });
}
cudaError_t cudaMemset(void* memory, int byte, size_t bytes) {
  return simt::at_once("cudaMemset",
                       [&](CUstream_st& stream) { return simt::push_fill(stream, memory, byte, bytes); });
}
cudaError_t cudaMemsetAsync(void* memory, int byte, size_t bytes, cudaStream_t handle) {
  return simt::in_stream("cudaMemsetAsync", handle,
                         [&](CUstream_st& stream) { return simt::push_fill(stream, memory, byte, bytes); });
}
