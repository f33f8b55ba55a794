#include "tests/simt/emulator/runtime.h"

#include <cxxabi.h>
#include <dlfcn.h>

#include <cstring>
#include <map>
#include <memory>

#include "kernels/error.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/include/cuda_runtime.h"

namespace simt {

using ito::cat;

namespace {

constexpr size_t kSharedWithoutAsking = 48 * 1024;

struct Runtime {
  size_t shared_limit = kSharedLimit;
  std::map<const void*, size_t> allowed_shared;  // by cudaFuncSetAttribute
  std::map<const void*, std::string> names;
  std::set<std::string> executed;
};

Runtime& runtime() {
  static Runtime one;
  return one;
}

/// "void a::scale_kernel<float, 4>(int)" -> "scale_kernel".
std::string base_name(const std::string& signature) {
  const std::string head = signature.substr(0, signature.find_first_of("<("));
  const size_t before = head.find_last_of(": ");
  return before == std::string::npos ? head : head.substr(before + 1);
}

const std::string& name_of(const void* kernel) {
  std::string& name = runtime().names[kernel];
  if (!name.empty()) return name;
  Dl_info info{};
  if (!dladdr(kernel, &info) || !info.dli_sname || info.dli_saddr != kernel)
    throw Violation(
        "a launched kernel has no symbol: a __global__ function may be neither static nor in an unnamed "
        "namespace, nor take arguments of such a type");
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> full(
      abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
  name = base_name(status == 0 ? full.get() : info.dli_sname);
  return name;
}

}  // namespace

void set_shared_limit(size_t bytes) { runtime().shared_limit = bytes; }
const std::set<std::string>& executed_kernels() { return runtime().executed; }

cudaError_t allow_shared(const void* kernel, int bytes) {
  if (bytes < 0 || size_t(bytes) > runtime().shared_limit) return cudaErrorInvalidValue;
  runtime().allowed_shared[kernel] = size_t(bytes);
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, const std::function<void()>& body) {
  const dim3 block = config.blockDim, grid = config.gridDim;
  const auto allowed = runtime().allowed_shared.find(kernel);
  const size_t limit =
      std::max(kSharedWithoutAsking, allowed == runtime().allowed_shared.end() ? 0 : allowed->second);
  const bool empty = size_t(grid.x) * grid.y * grid.z == 0 || size_t(block.x) * block.y * block.z == 0;
  if (empty || size_t(block.x) * block.y * block.z > kMaxThreads || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (config.dynamicSmemBytes > limit) return cudaErrorInvalidValue;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const auto& cluster = config.attrs[i].val.clusterDim;
    if (cluster.x * cluster.y * cluster.z != 1)
      throw Violation("the emulator runs clusters of one block only");
  }
  const std::string& name = name_of(kernel);
  const DeviceAccess access;
  machine().run({grid, block, config.dynamicSmemBytes, name}, body);
  runtime().executed.insert(name);
  device_memory().check_guards(name);
  return cudaSuccess;
}

}  // namespace simt

using simt::runtime;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
  }
  return "unknown error";
}

cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidValue; }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = int(runtime().shared_limit);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = simt::device_memory().allocate(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void* memory) {
  return !memory || simt::device_memory().release(memory) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  const simt::DeviceAccess access;
  if (bytes > 0) std::memcpy(to, from, bytes);  // nothing may come from nowhere
  return cudaSuccess;
}
