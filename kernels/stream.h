#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <string>
#include <typeindex>
#include <unordered_map>

#include "kernels/base/process_memory.h"

namespace ito::kernels {

/// What kernels and libraries keep between calls on a stream (handles, caches, scratch): one object of each type.
class StreamState {
 public:
  /// The one T of this stream, made when it is first used; T is private to a kernel's file.
  template <class T>
  T& state() {
    std::any& slot = states_[std::type_index(typeid(T))];
    if (!slot.has_value()) slot = std::make_shared<T>();
    return *std::any_cast<std::shared_ptr<T>&>(slot);
  }

 protected:
  /// Destroys what was kept, for owners that must do so before something else.
  void forget_state() { states_.clear(); }

 private:
  std::unordered_map<std::type_index, std::any> states_;
};

/// Where CPU kernels run: a number of threads, and what libraries keep between calls (oneDNN's engine and its
/// primitives). Kernels return when their work is done. Made and owned by engine::Device; one user at a time.
class CpuStream : public StreamState {
 public:
  /// threads = 0: one for each core this process may use.
  explicit CpuStream(int threads = 0);
  CpuStream(const CpuStream&) = delete;
  CpuStream& operator=(const CpuStream&) = delete;

  int threads() const { return threads_; }
  /// The processor's name, as /proc/cpuinfo has it.
  std::string name() const;

  // The same as CudaStream has, so that their owner need not tell them apart.
  /// Memory aligned to 64 bytes.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;
  void copy(void* to, const void* from, size_t bytes);
  void zero(void* memory, size_t bytes);
  void synchronize() {}
  size_t free_bytes() const { return available_memory_bytes(); }

 private:
  int threads_;
};

/// A CUDA stream and what belongs to it; defined in kernels/cuda_stream.h.
class CudaStream;

}  // namespace ito::kernels
