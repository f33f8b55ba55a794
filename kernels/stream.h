#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>

#include "kernels/base/process_memory.h"

namespace ito::kernels {

/// Where CPU kernels run: a number of threads, and what libraries keep between calls (oneDNN's engine and its
/// primitives). Kernels return when their work is done. Made and owned by engine::Device; one user at a time.
class CpuStream {
 public:
  /// threads = 0: one for each core this process may use.
  explicit CpuStream(int threads = 0);
  CpuStream(const CpuStream&) = delete;
  CpuStream& operator=(const CpuStream&) = delete;

  int threads() const { return threads_; }
  /// The processor's name, as /proc/cpuinfo has it.
  std::string name() const;

  // What CudaStream offers, too, so that their owner need not tell them apart.
  /// Memory aligned to 64 bytes.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;
  void copy(void* to, const void* from, size_t bytes);
  void zero(void* memory, size_t bytes);
  void synchronize() {}
  size_t free_bytes() const { return available_memory_bytes(); }

  /// The one T of this stream, made at first use: a library's handles and caches, private to a kernel's .cpp.
  template <class T>
  T& state() {
    std::any& slot = states_[std::type_index(typeid(T))];
    if (!slot.has_value()) slot = std::make_shared<T>();
    return *std::any_cast<std::shared_ptr<T>&>(slot);
  }

 private:
  int threads_;
  std::unordered_map<std::type_index, std::any> states_;
};

/// A CUDA stream and what belongs to it; defined in kernels/cuda_stream.h, for CUDA builds only.
class CudaStream;

}  // namespace ito::kernels
