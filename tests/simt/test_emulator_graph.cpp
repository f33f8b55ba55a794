#include "kernels/cuda_device.cuh"
#include "tests/simt/emulator_checks.h"

// Graphs that are captured and replayed, and failures that tests ask for.
namespace ito::kernels {

__global__ void scale_kernel(float* x, const float* factor) { x[threadIdx.x] *= *factor; }

}  // namespace ito::kernels

using namespace ito;
using namespace ito::kernels;
using simt::config;
using simt::DeviceArray;

namespace {

/// A step: x *= factor, factor read from pinned memory each time.
struct Step {
  Step() : x(stream, std::vector<float>(32, 1.0f)), factor(stream, 1) {
    simt::machine().set_schedule({});
    REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&pinned), sizeof(float)) == cudaSuccess);
    *pinned = 2;
  }
  ~Step() { cudaFreeHost(pinned); }
  void run() {
    stream.copy(factor.data(), pinned, sizeof(float));
    launch(scale_kernel, config(1, 32), stream, x.data(), static_cast<const float*>(factor.data()));
  }
  void begin() {
    REQUIRE(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  }
  CudaStream stream;
  DeviceArray<float> x, factor;
  float* pinned = nullptr;
};

struct AfterwardsReset {
  ~AfterwardsReset() { simt::reset_device(); }
};

}  // namespace

TEST_CASE_FIXTURE(Step, "a replayed graph does what the launches do, with what memory holds then") {
  begin();
  run();
  cudaStreamCaptureStatus status{};
  CHECK(cudaStreamIsCapturing(stream.handle(), &status) == cudaSuccess);
  CHECK(status == cudaStreamCaptureStatusActive);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream.handle(), &graph) == cudaSuccess);
  size_t nodes = 0;
  CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
  CHECK(nodes == 2);
  cudaGraphExec_t exec = nullptr;
  CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(x.read()[5] == 1);  // capturing runs nothing
  for (float expected : {2.0f, 4.0f}) {
    CHECK(cudaGraphLaunch(exec, stream.handle()) == cudaSuccess);
    CHECK(x.read()[5] == expected);
  }
  *pinned = 0.5f;
  CHECK(cudaGraphLaunch(exec, stream.handle()) == cudaSuccess);
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);  // what is queued keeps what it needs
  CHECK(x.read()[5] == 2);
  run();
  CHECK(x.read()[5] == 1);
}

TEST_CASE_FIXTURE(Step, "what may not be part of a graph ends its capture") {
  float pageable = 1;
  void* memory = nullptr;
  const std::function<cudaError_t()> forbidden[] = {
      [&] { return cudaMalloc(&memory, 16); },
      [&] { return cudaFree(x.data()); },
      [&] { return cudaMallocHost(&memory, 16); },
      [&] { return cudaStreamSynchronize(stream.handle()); },
      [&] { return cudaStreamQuery(stream.handle()); },
      [&] { return cudaDeviceSynchronize(); },
      [&] { return cudaMemcpy(factor.data(), pinned, 4, cudaMemcpyDefault); },
      [&] { return cudaMemcpyAsync(factor.data(), &pageable, 4, cudaMemcpyDefault, stream.handle()); },
      [&] { return cudaMemcpyAsync(&pageable, factor.data(), 4, cudaMemcpyDefault, stream.handle()); },
  };
  for (const auto& call : forbidden) {
    begin();
    CHECK(call() == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaMemsetAsync(factor.data(), 0, 4, stream.handle()) == cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(stream.handle(), &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
  }
  REQUIRE(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeRelaxed) == cudaSuccess);
  CHECK(cudaMalloc(&memory, 16) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream.handle(), &graph) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(cudaFree(memory) == cudaSuccess);
  CHECK(cudaStreamEndCapture(stream.handle(), &graph) == cudaErrorIllegalState);
  run();
  CHECK(x.read()[0] == 2);
}

TEST_CASE_FIXTURE(Step, "a second stream joins a capture by an event") {
  CudaStream other;
  cudaEvent_t fork = nullptr, join = nullptr;
  for (cudaEvent_t* event : {&fork, &join}) CHECK(cudaEventCreateWithFlags(event, 0) == cudaSuccess);
  begin();
  run();
  CHECK(cudaEventRecord(fork, stream.handle()) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(other.handle(), fork) == cudaSuccess);
  launch(scale_kernel, config(1, 32), other, x.data(), static_cast<const float*>(factor.data()));
  CHECK(cudaEventRecord(join, other.handle()) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(stream.handle(), join) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream.handle(), &graph) == cudaSuccess);
  cudaGraphExec_t exec = nullptr;
  CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
  CHECK(cudaGraphLaunch(exec, stream.handle()) == cudaSuccess);
  CHECK(x.read()[0] == 4);
  CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  for (cudaEvent_t event : {fork, join}) CHECK(cudaEventDestroy(event) == cudaSuccess);
}

TEST_CASE_FIXTURE(Step, "a forked stream that is not joined again is reported") {
  CudaStream other;
  cudaEvent_t fork = nullptr, join = nullptr;
  for (cudaEvent_t* event : {&fork, &join}) CHECK(cudaEventCreateWithFlags(event, 0) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  // joins: 0 never; 1 before the forked work; 2 behind its first half; 3 behind all of it.
  for (int joins = 0; joins <= 3; ++joins) {
    CAPTURE(joins);
    const auto scale = [&] {
      launch(scale_kernel, config(1, 32), other, x.data(), static_cast<const float*>(factor.data()));
    };
    const auto join_at = [&](int place) {
      if (place != joins) return;
      CHECK(cudaEventRecord(join, other.handle()) == cudaSuccess);
      CHECK(cudaStreamWaitEvent(stream.handle(), join) == cudaSuccess);
    };
    begin();
    run();
    CHECK(cudaEventRecord(fork, stream.handle()) == cudaSuccess);
    CHECK(cudaStreamWaitEvent(other.handle(), fork) == cudaSuccess);
    join_at(1);
    scale();
    join_at(2);
    scale();
    join_at(3);
    CHECK(cudaStreamEndCapture(stream.handle(), &graph) ==
          (joins == 3 ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
    CHECK((graph != nullptr) == (joins == 3));
    cudaStreamCaptureStatus status{};
    CHECK(cudaStreamIsCapturing(other.handle(), &status) == cudaSuccess);
    CHECK(status == cudaStreamCaptureStatusNone);  // both are free again
  }
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(std::string(cudaGetErrorName(cudaErrorStreamCaptureUnjoined)) == "cudaErrorStreamCaptureUnjoined");
  for (cudaEvent_t event : {fork, join}) CHECK(cudaEventDestroy(event) == cudaSuccess);
}

TEST_CASE("memory runs out where the limit says") {
  const AfterwardsReset afterwards;
  simt::reset_device();
  simt::set_memory_limit(1 << 20);
  void *first = nullptr, *second = nullptr;
  CHECK(cudaMalloc(&first, 600 << 10) == cudaSuccess);
  CHECK(cudaMalloc(&second, 600 << 10) == cudaErrorMemoryAllocation);
  size_t free = 0, total = 0;
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(total == 1 << 20);
  CHECK(free == 424 << 10);
  CHECK(cudaFree(first) == cudaSuccess);
  CHECK(cudaMalloc(&second, 600 << 10) == cudaSuccess);
}

TEST_CASE("devices that are missing, old or broken") {
  const AfterwardsReset afterwards;
  int count = -1;
  void* memory = nullptr;
  simt::set_device_count(0);
  CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
  CHECK(count == 0);
  CHECK(cudaMalloc(&memory, 4) == cudaErrorNoDevice);
  simt::reset_device();
  simt::set_driver_version(12040);
  CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
  int driver = 0;
  CHECK(cudaDriverGetVersion(&driver) == cudaSuccess);
  CHECK(driver == 12040);
  simt::reset_device();
  simt::set_compute_capability(7, 5);
  cudaDeviceProp properties{};
  CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
  CHECK(properties.major == 7);
  CHECK(cudaGetDeviceProperties(&properties, 1) == cudaErrorInvalidDevice);
}

TEST_CASE("calls fail where a test says so, once or for good") {
  const AfterwardsReset afterwards;
  void* memory = nullptr;
  simt::fail_after("cudaMalloc", 2, cudaErrorDevicesUnavailable);
  CHECK(cudaMalloc(&memory, 4) == cudaSuccess);
  CHECK(cudaFree(memory) == cudaSuccess);
  CHECK(cudaMalloc(&memory, 4) == cudaErrorDevicesUnavailable);
  CHECK(cudaMalloc(&memory, 4) == cudaSuccess);
  CHECK(std::string(cudaGetErrorName(cudaPeekAtLastError())) == "cudaErrorDevicesUnavailable");

  simt::fail_after("cudaDeviceSynchronize", 1, cudaErrorLaunchFailure);
  CHECK(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  CHECK(cudaMalloc(&memory, 4) == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
  CHECK(std::string(cudaGetErrorString(cudaErrorLaunchFailure)) == "unspecified launch failure");
  simt::reset_device();
  CHECK(cudaMalloc(&memory, 4) == cudaSuccess);
}

TEST_CASE("host code in a stream's order may touch device memory, and becomes part of a graph") {
  CudaStream stream;
  DeviceArray<float> x(stream, std::vector<float>{1});
  const auto add_one = [p = x.data()] { *p += 1; };
  CHECK(simt::run_in_stream(stream.handle(), add_one) == cudaSuccess);
  CHECK(x.read()[0] == 2);
  CHECK(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeRelaxed) == cudaSuccess);
  CHECK(simt::run_in_stream(stream.handle(), add_one) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream.handle(), &graph) == cudaSuccess);
  size_t nodes = 0;
  CHECK(cudaGraphGetNodes(graph, nullptr, &nodes) == cudaSuccess);
  CHECK(nodes == 1);
  CHECK(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(x.read()[0] == 2);
}

TEST_CASE("how many blocks fit a multiprocessor") {
  int count = 0;
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, scale_kernel, 256, 0) == cudaSuccess);
  CHECK(count == 8);
  CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, scale_kernel, 256, 100 * 1024) == cudaSuccess);
  CHECK(count == 2);
  cudaFuncAttributes attributes{};
  CHECK(cudaFuncGetAttributes(&attributes, scale_kernel) == cudaSuccess);
  CHECK(attributes.maxThreadsPerBlock == 1024);
}
