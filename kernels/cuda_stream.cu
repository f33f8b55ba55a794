#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "kernels/cuda_launch.h"
#include "kernels/cuda_stream.h"

namespace ito::kernels {

namespace {

constexpr int kOldestMajor = 8;  // mma on bf16 and cp.async

std::string version_text(int version) { return cat(version / 1000, ".", version % 1000 / 10); }

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, which, device), "ask the GPU for its limits");
  return value;
}

/// The program has no code that this card, with this driver, can take.
bool is_of_code(cudaError_t error) {
  return error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion ||
         error == cudaErrorInvalidPtx || error == cudaErrorJitCompilerNotFound ||
         error == cudaErrorJitCompilationDisabled;
}

/// What a user can do about an error.
const char* hint(cudaError_t error) {
  if (is_of_code(error))
    return "this program was built for other GPUs or a newer driver: build it with "
           "-DCMAKE_CUDA_ARCHITECTURES=native, or update the driver";
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "end what else runs on this GPU (nvidia-smi)";
    case cudaErrorDevicesUnavailable:
      return "another process has this GPU for itself (nvidia-smi -q -d COMPUTE)";
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureUnmatched:
    case cudaErrorStreamCaptureUnjoined:
    case cudaErrorStreamCaptureIsolation:
    case cudaErrorCapturedEvent:
      return "please report this with the whole command and the GPU's name: it is a bug of Ito";
    default:
      return "the newest checkpoint is intact: the same command goes on from it. If it happens again, "
             "run the command under compute-sanitizer and look for the GPU's own errors (Xid) in dmesg";
  }
}

/// "ito::kernels::fill_kernel<float, 4>"; "a kernel" where CUDA does not say.
std::string name_of(const void* kernel) {
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess || !mangled) return "a kernel";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> full(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  if (status != 0) return mangled;
  std::string name = full.get();  // "void ito::kernels::fill_kernel<float, 4>(long, float, float*)"
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  return name.substr(0, name.rfind('('));
}

/// From the repository's root on, as compilers may be given other paths.
std::string short_path(const std::string& path) {
  const size_t at = path.rfind("kernels/");
  return at == std::string::npos ? path : path.substr(at);
}

}  // namespace

void fail_cuda(cudaError_t error, const char* tried, const char* file, int line) {
  fail(cat("CUDA cannot ", tried, ": ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ", at ",
           short_path(file), ":", line, "); ", hint(error)),
       file, line);
}

void fail_launch(cudaError_t error, const void* kernel, const char* file, int line) {
  fail_cuda(error, ("launch " + name_of(kernel)).c_str(), file, line);
}

__global__ void empty_kernel() {}

std::string cuda_problem(int device) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (error == cudaErrorInsufficientDriver) {
    if (driver == 0) return "no NVIDIA driver is installed (nvidia-smi would show it)";
    return cat("the NVIDIA driver supports CUDA ", version_text(driver), ", this program needs ",
               version_text(runtime), ": update the driver");
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0))
    return "no GPU is visible (check nvidia-smi and CUDA_VISIBLE_DEVICES)";
  if (error != cudaSuccess) return cat("CUDA does not start: ", cudaGetErrorString(error));
  if (device >= count) return cat("there is no GPU ", device, ": CUDA sees ", count);
  cudaDeviceProp properties{};
  if (const cudaError_t asked = cudaGetDeviceProperties(&properties, device); asked != cudaSuccess)
    return cat("the GPU does not answer: ", cudaGetErrorString(asked));
  if (properties.major < kOldestMajor)
    return cat(properties.name, " has compute capability ", properties.major, ".", properties.minor,
               "; Ito needs ", kOldestMajor, ".0 or newer (A100, RTX 30 and later)");
  // Other errors than of the code, a GPU that is busy or full say, are for the code that uses it.
  cudaFuncAttributes code{};
  if (cudaSetDevice(device) != cudaSuccess) return "";
  const cudaError_t loaded = cudaFuncGetAttributes(&code, empty_kernel);
  if (is_of_code(loaded))
    return cat(properties.name, " does not take this program's code: ", cudaGetErrorString(loaded), "; ",
               hint(loaded));
  return "";
}

int gpu_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

bool gpu_is_there() {
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  cudaDriverGetVersion(&driver);
  return (error == cudaSuccess && count > 0) || (error == cudaErrorInsufficientDriver && driver > 0);
}

// Destructors and release() never throw: what goes wrong here was reported by an earlier call, or the process
// is ending.
CudaGraph::~CudaGraph() {
  if (handle_) cudaGraphExecDestroy(handle_);
}
CudaGraph& CudaGraph::operator=(CudaGraph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

CudaEvent::CudaEvent() { check_cuda(cudaEventCreateWithFlags(&handle_, 0), "create an event"); }
CudaEvent::~CudaEvent() { cudaEventDestroy(handle_); }
void CudaEvent::record(CudaStream& stream) {
  check_cuda(cudaEventRecord(handle_, stream.handle()), "record an event");
}
void CudaEvent::wait() { check_cuda(cudaEventSynchronize(handle_), "finish its work"); }
bool CudaEvent::passed() const {
  const cudaError_t state = cudaEventQuery(handle_);
  if (state != cudaErrorNotReady) check_cuda(state, "finish its work");
  return state == cudaSuccess;
}
float CudaEvent::since(const CudaEvent& earlier) const {
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, earlier.handle_, handle_), "read the time between events");
  return milliseconds;
}

CudaStream::CudaStream(int device) : device_(device) {
  if (const std::string problem = cuda_problem(device); !problem.empty())
    fail_advising(cat("CUDA cannot be used: ", problem), {"{device} cpu"});
  check_cuda(cudaSetDevice(device), "use the GPU");
  shared_limit_ = size_t(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  check_cuda(cudaStreamCreateWithFlags(&handle_, cudaStreamNonBlocking), "create a stream");
}

CudaStream::~CudaStream() {
  forget_state();
  cudaStreamDestroy(handle_);
}

void* CudaStream::allocate(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t error = cudaMalloc(&memory, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is not the device's fault: the program may go on with less
    fail_memory(cat(bytes >> 20, " MiB of the GPU's were asked for, ", info().free_bytes >> 20,
                    " MiB are free: ", hint(error)));
  }
  check_cuda(error, "allocate device memory");
  return memory;
}
void CudaStream::release(void* memory) noexcept { cudaFree(memory); }

void* CudaStream::allocate_host(size_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaMallocHost(&memory, bytes), "allocate page-locked memory of the host");
  return memory;
}
void CudaStream::release_host(void* memory) noexcept { cudaFreeHost(memory); }

void CudaStream::copy(void* to, const void* from, size_t bytes) {
  if (bytes) check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, handle_), "copy memory");
}
void CudaStream::zero(void* memory, size_t bytes) {
  if (bytes) check_cuda(cudaMemsetAsync(memory, 0, bytes, handle_), "clear memory");
}
void CudaStream::synchronize() { check_cuda(cudaStreamSynchronize(handle_), "finish its work"); }

void CudaStream::begin_capture() {
  check_cuda(cudaStreamBeginCapture(handle_, cudaStreamCaptureModeThreadLocal), "record a step");
  capturing_ = true;
}

CudaGraph CudaStream::end_capture() {
  capturing_ = false;
  cudaGraph_t graph = nullptr;
  check_cuda(cudaStreamEndCapture(handle_, &graph), "record a step");
  cudaGraphExec_t runnable = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&runnable, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(error, "prepare a recorded step");
  return CudaGraph(runnable);
}

void CudaStream::abandon_capture() noexcept {
  capturing_ = false;
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(handle_, &graph);
  if (graph) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void CudaStream::replay(const CudaGraph& graph) {
  check_cuda(cudaGraphLaunch(graph.handle(), handle_), "replay a recorded step");
}

GpuInfo CudaStream::info() const {
  GpuInfo info;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device_), "ask the GPU for its name");
  info.name = properties.name;
  info.major = properties.major, info.minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.clock_mhz = attribute(cudaDevAttrClockRate, device_) / 1000;
  info.memory_clock_mhz = attribute(cudaDevAttrMemoryClockRate, device_) / 1000;
  check_cuda(cudaMemGetInfo(&info.free_bytes, &info.memory_bytes), "ask the GPU for its memory");
  check_cuda(cudaDriverGetVersion(&info.driver), "ask for the driver's version");
  check_cuda(cudaRuntimeGetVersion(&info.runtime), "ask for the runtime's version");
  return info;
}

}  // namespace ito::kernels
