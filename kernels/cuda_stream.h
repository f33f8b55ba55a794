#pragma once

#include <cstddef>
#include <string>

#include "kernels/stream.h"

// CUDA's own names, so that the owner of a stream needs no CUDA header.
struct CUstream_st;
struct CUevent_st;
struct CUgraphExec_st;

namespace ito::kernels {

/// Whether this program has kernels for CudaStream. Without them a call that names one does not link; generic code
/// leaves such calls out by `if constexpr`. CudaStream itself is there in every build: without CUDA its constructor
/// fails (cuda_stream_absent.cpp).
#if defined(HAVE_CUDA)
inline constexpr bool kCudaBuilt = true;
#else
inline constexpr bool kCudaBuilt = false;
#endif

struct GpuInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int major = 0, minor = 0;
  int multiprocessors = 0;
  size_t memory_bytes = 0, free_bytes = 0;
  int driver = 0, runtime = 0;              // CUDA versions: 13000 is 13.0
  int clock_mhz = 0, memory_clock_mhz = 0;  // the highest
};

/// Why there is no GPU to use, with what to do about it; empty: there is one.
std::string cuda_problem(int device = 0);
/// How many GPUs this process may use; 0 without CUDA.
int gpu_count();
/// Whether this machine has a GPU with a driver, of use or not.
bool gpu_is_there();

/// A sequence of work recorded from a stream, to be put into its queue as one.
class CudaGraph {
 public:
  CudaGraph() = default;
  explicit CudaGraph(CUgraphExec_st* handle) : handle_(handle) {}
  ~CudaGraph();
  CudaGraph(CudaGraph&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  CudaGraph& operator=(CudaGraph&& other) noexcept;
  explicit operator bool() const { return handle_ != nullptr; }
  CUgraphExec_st* handle() const { return handle_; }

 private:
  CUgraphExec_st* handle_ = nullptr;
};

/// A mark in a stream's queue that the host can wait for.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void record(CudaStream&);
  /// Returns when everything before the mark is done; at once where nothing was marked.
  void wait();
  /// Whether wait() would return at once.
  bool passed() const;
  /// Milliseconds between two marks that have been passed.
  float since(const CudaEvent& earlier) const;

 private:
  CUevent_st* handle_ = nullptr;
};

/// A queue of work on one GPU, and the memory it works on. Kernels return at once; copies and kernels run in
/// order. What fails on the GPU is reported by a later call.
class CudaStream : public StreamState {
 public:
  /// Fails where there is no such device, or this program cannot use it.
  explicit CudaStream(int device = 0);
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  /// Device memory, aligned to 256 bytes. Waits for the device: never inside a step.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;
  /// Memory of the host that the GPU reads and writes by itself, so that copies do not wait.
  void* allocate_host(size_t bytes);
  void release_host(void* memory) noexcept;

  /// Queues a copy between host and device in either direction, or within one. synchronize() before the
  /// host's side is changed, freed or read.
  void copy(void* to, const void* from, size_t bytes);
  void zero(void* memory, size_t bytes);
  /// Waits until everything queued so far is done, and reports its errors.
  void synchronize();

  /// What is queued in between is recorded instead of run. Nothing may wait or allocate there.
  void begin_capture();
  CudaGraph end_capture();
  void abandon_capture() noexcept;
  void replay(const CudaGraph&);
  bool capturing() const { return capturing_; }

  GpuInfo info() const;
  std::string name() const { return info().name; }
  size_t free_bytes() const { return info().free_bytes; }
  /// Bytes of shared memory that a block may ask for.
  size_t shared_limit() const { return shared_limit_; }
  CUstream_st* handle() const { return handle_; }

 private:
  CUstream_st* handle_ = nullptr;
  int device_ = 0;
  size_t shared_limit_ = 0;
  bool capturing_ = false;
};

}  // namespace ito::kernels
