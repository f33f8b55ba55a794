// Replaces cuda_stream.cu and NVIDIA's libraries in a program that was built without CUDA.
#include "kernels/cuda_library.h"
#include "kernels/cuda_stream.h"

namespace ito::kernels {

namespace {

[[noreturn]] void absent() { fail("this program was built without CUDA (configure with -DITO_CUDA=ON)"); }

}  // namespace

std::string cuda_problem(int) { return "this program was built without it (configure with -DITO_CUDA=ON)"; }
int gpu_count() { return 0; }
bool gpu_is_there() { return false; }

bool cudnn_available() { return false; }
bool cublaslt_available() { return false; }
int cudnn_algorithms(CudaStream&, const Conv2dDims&, DType, ConvPass) { absent(); }

CudaGraph::~CudaGraph() = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept { return *this; }

CudaEvent::CudaEvent() { absent(); }
CudaEvent::~CudaEvent() = default;
void CudaEvent::record(CudaStream&) { absent(); }
void CudaEvent::wait() { absent(); }
bool CudaEvent::passed() const { absent(); }
float CudaEvent::since(const CudaEvent&) const { absent(); }

// No CudaStream is ever made: what follows only has to link.
CudaStream::CudaStream(int) { fail(cat("CUDA cannot be used: ", cuda_problem())); }
CudaStream::~CudaStream() = default;
void* CudaStream::allocate(size_t) { absent(); }
void CudaStream::release(void*) noexcept {}
void* CudaStream::allocate_host(size_t) { absent(); }
void CudaStream::release_host(void*) noexcept {}
void CudaStream::copy(void*, const void*, size_t) { absent(); }
void CudaStream::zero(void*, size_t) { absent(); }
void CudaStream::synchronize() { absent(); }
void CudaStream::begin_capture() { absent(); }
CudaGraph CudaStream::end_capture() { absent(); }
void CudaStream::abandon_capture() noexcept {}
void CudaStream::replay(const CudaGraph&) { absent(); }
GpuInfo CudaStream::info() const { absent(); }

}  // namespace ito::kernels
