#include "kernels/cuda_device.cuh"
#include "tests/simt/child.h"
#include "tests/simt/emulator/memory.h"
#include "tests/simt/emulator_checks.h"

// The emulated runtime: order between streams, memory, failures.
namespace ito::kernels {

__global__ void add_kernel(float* x, float value) { x[threadIdx.x] += value; }

__global__ void write_kernel(float* x, int index) { x[index] = 1; }

__global__ void read_past_kernel(const float* x, float* out) { *out = x[1]; }

}  // namespace ito::kernels

using namespace ito;
using namespace ito::kernels;
using simt::config;
using simt::Ended;
using simt::in_child;

namespace {

constexpr int kCount = 32;
constexpr size_t kBytes = kCount * sizeof(float);

/// Memory of the device and of the host, and two streams.
struct Fixture {
  Fixture() {
    simt::machine().set_schedule({});
    REQUIRE(cudaMalloc(reinterpret_cast<void**>(&device), kBytes) == cudaSuccess);
    REQUIRE(cudaMallocHost(reinterpret_cast<void**>(&pinned), kBytes) == cudaSuccess);
    std::fill(pinned, pinned + kCount, 1.0f);
  }
  ~Fixture() {
    cudaFree(device);
    cudaFreeHost(pinned);
  }
  void add(CudaStream& stream, float value) { launch(add_kernel, config(1, kCount), stream, device, value); }
  CudaStream a, b;
  float *device = nullptr, *pinned = nullptr;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "nothing that is not waited for has happened") {
  float host[kCount];
  a.copy(device, pinned, kBytes);
  add(a, 2);
  cudaMemcpyAsync(pinned, device, kBytes, cudaMemcpyDeviceToHost, a.handle());
  CHECK(pinned[0] == 1);
  CHECK(cudaStreamSynchronize(b.handle()) == cudaSuccess);
  CHECK(pinned[0] == 1);
  CHECK(cudaStreamSynchronize(a.handle()) == cudaSuccess);
  CHECK(pinned[31] == 3);

  a.copy(device, pinned, kBytes);
  pinned[0] = 50;  // too early: the copy reads it when it runs
  a.copy(host, device, kBytes);
  a.synchronize();
  CHECK(host[0] == 50);
  float pageable[kCount] = {7};
  a.copy(device, pageable, kBytes);
  pageable[0] = 50;  // the copy has taken it along
  a.copy(host, device, kBytes);
  a.synchronize();
  CHECK(host[0] == 7);
}

TEST_CASE_FIXTURE(Fixture, "a missing event between two streams shows, whichever is waited for") {
  for (bool event_is_there : {true, false}) {
    int wrong = 0;
    for (const simt::Schedule& schedule : simt::all_schedules()) {
      simt::machine().set_schedule(schedule);
      float host[kCount] = {}, zeros[kCount] = {};
      a.copy(device, zeros, kBytes);
      a.synchronize();
      add(a, 5);
      cudaEvent_t event = nullptr;
      CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
      CHECK(cudaEventRecord(event, a.handle()) == cudaSuccess);
      if (event_is_there) CHECK(cudaStreamWaitEvent(b.handle(), event) == cudaSuccess);
      cudaMemcpyAsync(host, device, kBytes, cudaMemcpyDeviceToHost, b.handle());
      b.synchronize();
      wrong += host[0] != 5;
      CHECK(cudaEventDestroy(event) == cudaSuccess);
      simt::finish();
    }
    CHECK(wrong == (event_is_there ? 0 : int(simt::all_schedules().size())));
  }
}

TEST_CASE_FIXTURE(Fixture, "events can be asked, waited for and timed") {
  cudaEvent_t first = nullptr, second = nullptr;
  for (cudaEvent_t* event : {&first, &second}) CHECK(cudaEventCreateWithFlags(event, 0) == cudaSuccess);
  CHECK(cudaEventQuery(first) == cudaSuccess);
  CHECK(cudaEventRecord(first, a.handle()) == cudaSuccess);
  add(a, 1), add(a, 1);
  CHECK(cudaEventRecord(second, a.handle()) == cudaSuccess);
  add(a, 1);
  float milliseconds = -1;
  CHECK(cudaEventElapsedTime(&milliseconds, first, second) == cudaErrorNotReady);
  int asked = 0;
  while (cudaEventQuery(second) == cudaErrorNotReady) ++asked;
  CHECK(asked == 4);  // one piece of work each time
  CHECK(cudaStreamQuery(a.handle()) == cudaErrorNotReady);
  CHECK(cudaStreamQuery(a.handle()) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, first, second) == cudaSuccess);
  CHECK(milliseconds >= 0);
  for (cudaEvent_t event : {first, second}) CHECK(cudaEventDestroy(event) == cudaSuccess);
}

TEST_CASE_FIXTURE(Fixture, "the legacy stream waits for the streams that block, and they for it") {
  cudaStream_t blocking = nullptr;
  CHECK(cudaStreamCreateWithFlags(&blocking, cudaStreamDefault) == cudaSuccess);
  CHECK(cudaMemsetAsync(device, 0, kBytes, blocking) == cudaSuccess);
  float host[kCount];
  CHECK(cudaMemcpy(host, device, kBytes, cudaMemcpyDeviceToHost) == cudaSuccess);
  CHECK(host[3] == 0);
  CHECK(cudaMemsetAsync(device, 0xff, kBytes) == cudaSuccess);
  CHECK(cudaMemcpyAsync(host, device, kBytes, cudaMemcpyDeviceToHost, blocking) == cudaSuccess);
  CHECK(cudaStreamSynchronize(blocking) == cudaSuccess);
  CHECK(std::isnan(host[3]));
  CHECK(cudaStreamDestroy(blocking) == cudaSuccess);
  CHECK(cudaStreamSynchronize(blocking) == cudaErrorInvalidResourceHandle);
}

TEST_CASE_FIXTURE(Fixture, "copies know their direction and stay inside allocations") {
  float host[kCount] = {};
  simt::reset_calls();
  CHECK(cudaMemcpyAsync(device, host, kBytes, cudaMemcpyDeviceToHost, a.handle()) ==
        cudaErrorInvalidMemcpyDirection);
  CHECK(cudaMemcpyAsync(device, host, kBytes + 4, cudaMemcpyDefault, a.handle()) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(host, device + 1, kBytes, cudaMemcpyDefault, a.handle()) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(host, 0, kBytes, a.handle()) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaMemcpyAsync(device, host, kBytes, cudaMemcpyDefault, a.handle()) == cudaSuccess);
  CHECK(cudaMemcpyAsync(device, device, 0, cudaMemcpyDefault, a.handle()) == cudaSuccess);
  a.synchronize();
  CHECK(simt::calls("cudaMemcpyAsync") == 5);
  CHECK(simt::calls("cudaMemcpyHostToDevice") == 1);
  CHECK(simt::calls("cudaMemcpyDeviceToDevice") == 1);
  CHECK(simt::calls("cudaStreamSynchronize") == 1);
  CHECK(simt::calls("cudaMalloc") == 0);
}

TEST_CASE_FIXTURE(Fixture, "device memory starts as NaN, also where it was used before") {
  float host[kCount];
  for (int i = 0; i < 2; ++i) {
    float* memory = nullptr;
    CHECK(cudaMalloc(reinterpret_cast<void**>(&memory), kBytes) == cudaSuccess);
    a.copy(host, memory, kBytes);
    a.copy(memory, pinned, kBytes);
    a.synchronize();
    CHECK(std::isnan(host[kCount - 1]));
    CHECK(cudaFree(memory) == cudaSuccess);
    CHECK(cudaFree(memory) == cudaErrorInvalidValue);
  }
}

TEST_CASE_FIXTURE(Fixture, "what a destructor's call finds is thrown by the next that waits") {
  launch(write_kernel, config(1, 1), a, device, kCount);  // next to the allocation
  void* other = nullptr;
  CHECK(cudaMalloc(&other, 4) == cudaSuccess);
  CHECK(cudaFree(other) == cudaSuccess);
  CHECK_THROWS_WITH_AS(b.synchronize(),
                       doctest::Contains("write_kernel: wrote 0 bytes past an allocation of 128"),
                       simt::Violation);
  CHECK_NOTHROW(simt::finish());
}

TEST_CASE_FIXTURE(Fixture, "host code that touches device memory ends at once, with its address") {
  const float* const memory = device;
  const Ended ended = in_child([memory] {
    simt::install_fault_handler();
    if (*const_cast<volatile const float*>(memory) == 1) _exit(0);
  });
  CHECK(ended.by_fault);
  CHECK_MESSAGE(ended.said.find("host code touched device memory, at 0x") != std::string::npos, ended.said);
}

TEST_CASE_FIXTURE(Fixture, "a kernel that touches memory the device never had is named") {
  float* const far = device + (size_t(1) << 32);
  const Ended ended = in_child([&] {
    simt::install_fault_handler();
    launch(read_past_kernel, config(1, 1), a, far, device);
    a.synchronize();
  });
  CHECK(ended.by_fault);
  CHECK_MESSAGE(ended.said.find("read_past_kernel: touched device memory that was never allocated") !=
                    std::string::npos,
                ended.said);
}
