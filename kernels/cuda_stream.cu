#include "kernels/cuda_launch.h"
#include "kernels/cuda_stream.h"

namespace ito::kernels {

CudaStream::CudaStream(int device) {
  check_cuda(cudaSetDevice(device), "use the GPU");
  int bytes = 0;
  check_cuda(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
             "ask the GPU for its limits");
  shared_limit_ = size_t(bytes);
  check_cuda(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "create a stream");
}

// Destructors and release() never throw: what goes wrong here was reported by an earlier call, or the process
// is ending.
CudaStream::~CudaStream() { cudaStreamDestroy(handle_); }

void CudaStream::release(void* memory) noexcept { cudaFree(memory); }

void* CudaStream::allocate(size_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, bytes), "allocate device memory");
  return memory;
}

void CudaStream::copy(void* to, const void* from, size_t bytes) {
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, handle_), "copy memory");
}

void CudaStream::synchronize() { check_cuda(cudaStreamSynchronize(handle_), "finish its work"); }

}  // namespace ito::kernels
