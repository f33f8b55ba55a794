#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "kernels/base/error.h"
#include "tests/simt/emulator/call.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator/queue.h"
#include "tests/simt/include/cuda_runtime.h"

/// Launches of the emulated runtime.
namespace simt {

namespace {

constexpr size_t kSharedWithoutAsking = 48 * 1024;

struct Symbol {
  std::string mangled, name;
};

struct Kernels {
  std::map<const void*, size_t> allowed_shared;  // by cudaFuncSetAttribute
  std::map<const void*, Symbol> symbols;
  std::map<std::string, Executed> executed;
};

Kernels& kernels() {
  static Kernels one;
  return one;
}

/// "void a::scale_kernel<float, 4>(int)" -> "scale_kernel".
std::string base_name(const std::string& signature) {
  const std::string head = signature.substr(0, signature.find_first_of("<("));
  const size_t before = head.find_last_of(": ");
  return before == std::string::npos ? head : head.substr(before + 1);
}

const Symbol& symbol_of(const void* kernel) {
  Symbol& symbol = kernels().symbols[kernel];
  if (!symbol.name.empty()) return symbol;
  Dl_info info{};
  if (!dladdr(kernel, &info) || !info.dli_sname || info.dli_saddr != kernel)
    throw Violation(
        "a launched kernel has no symbol: a __global__ function may be neither static nor in an unnamed "
        "namespace, nor take arguments of such a type");
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> full(
      abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status), std::free);
  symbol = {info.dli_sname, base_name(status == 0 ? full.get() : info.dli_sname)};
  return symbol;
}

size_t allowed_shared(const void* kernel) {
  const auto found = kernels().allowed_shared.find(kernel);
  return std::max(kSharedWithoutAsking, found == kernels().allowed_shared.end() ? 0 : found->second);
}

cudaError_t check_config(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 block = config.blockDim, grid = config.gridDim;
  const size_t blocks = size_t(grid.x) * grid.y * grid.z, threads = size_t(block.x) * block.y * block.z;
  if (blocks == 0 || threads == 0 || threads > kMaxThreads || block.z > 64 || grid.x > 0x7fffffffu ||
      grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (config.dynamicSmemBytes > allowed_shared(kernel)) return cudaErrorInvalidValue;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const auto& cluster = config.attrs[i].val.clusterDim;
    if (cluster.x * cluster.y * cluster.z != 1)
      throw Violation("the emulator runs clusters of one block only");
  }
  return cudaSuccess;
}

}  // namespace

const std::map<std::string, Executed>& executed_kernels() { return kernels().executed; }

cudaError_t allow_shared(const void* kernel, cudaFuncAttribute, int bytes) {
  return call("cudaFuncSetAttribute", [&] {
    if (bytes < 0 || size_t(bytes) > card().shared_limit) return cudaErrorInvalidValue;
    kernels().allowed_shared[kernel] = size_t(bytes);
    return cudaSuccess;
  });
}

cudaError_t describe_kernel(cudaFuncAttributes* attributes, const void* kernel) {
  return call("cudaFuncGetAttributes", [&] {
    *attributes = {};
    attributes->maxThreadsPerBlock = int(kMaxThreads);
    attributes->maxDynamicSharedSizeBytes = int(allowed_shared(kernel));
    attributes->binaryVersion = attributes->ptxVersion = 10 * card().major + card().minor;
    return cudaSuccess;
  });
}

cudaError_t name_kernel(const char** name, const void* kernel) {
  return call("cudaFuncGetName", [&] {
    *name = symbol_of(kernel).mangled.c_str();
    return cudaSuccess;
  });
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> body) {
  return call("cudaLaunchKernelEx", [&] {
    if (const cudaError_t error = check_config(config, kernel); error != cudaSuccess) return error;
    CUstream_st* const stream = queues().find(config.stream);
    if (!stream) return cudaErrorInvalidResourceHandle;
    const Symbol& symbol = symbol_of(kernel);
    const Launch launch{config.gridDim, config.blockDim, config.dynamicSmemBytes, symbol.name};
    return queues().push(*stream, [launch, &symbol, body = std::move(body)] {
      machine().run(launch, body);
      Executed& executed = kernels().executed[symbol.mangled];
      executed = {symbol.name, std::max(executed.most_shared, launch.shared_bytes)};
      device_memory().check_guards(launch.kernel);
    });
  });
}

}  // namespace simt
