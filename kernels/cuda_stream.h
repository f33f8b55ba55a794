#pragma once

#include <cstddef>

#include "kernels/stream.h"

struct CUstream_st;  // CUDA's own name, so that whoever owns a stream needs no CUDA header

namespace ito::kernels {

/// A queue of work on one GPU, and the memory it works on. Kernels return at once; copies and kernels run in
/// order.
class CudaStream {
 public:
  /// Fails where there is no such device.
  explicit CudaStream(int device = 0);
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  /// Device memory, aligned to 256 bytes. Waits for the device: never inside a step.
  void* allocate(size_t bytes);
  void release(void* memory) noexcept;

  /// Between host and device in either direction, or within one. Pageable host memory must outlive the copy:
  /// synchronize.
  void copy(void* to, const void* from, size_t bytes);
  /// Waits until everything queued so far is done, and reports its errors.
  void synchronize();

  /// Bytes of shared memory that a block may ask for.
  size_t shared_limit() const { return shared_limit_; }
  CUstream_st* handle() const { return handle_; }

 private:
  CUstream_st* handle_ = nullptr;
  size_t shared_limit_ = 0;
};

}  // namespace ito::kernels
