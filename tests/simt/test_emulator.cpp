#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "tests/simt/emulator/runtime.h"
#include "tests/simt/emulator_checks.h"

// The emulator must see what it is there to see: each kernel here is right or has one known bug.
namespace ito::kernels {

/// out[b] = sum of the block's values, through one shared slot a warp. Bug: reads the slots without waiting.
__global__ void sum_kernel(const float* x, float* out, bool barrier) {
  SharedMemory shared;
  const auto sums = shared.take<float>(int(blockDim.x) / kWarpSize);
  const float sum = warp_sum(x[blockIdx.x * blockDim.x + threadIdx.x]);
  if (threadIdx.x % kWarpSize == 0) sums[int(threadIdx.x) / kWarpSize] = sum;
  if (barrier) __syncthreads();
  if (threadIdx.x > 0) return;
  float total = 0;
  for (int warp = 0; warp < int(blockDim.x) / kWarpSize; ++warp) total += sums[warp];
  out[blockIdx.x] = total;
}

/// Neighbouring lanes of half a warp exchange. Bugs: the mask names lanes that are elsewhere, or leaves the
/// caller out.
__global__ void half_warp_kernel(unsigned mask, int* out) {
  const int me = int(threadIdx.x);
  int got = -1;
  if (me < 16) got = __shfl_xor_sync(mask, me, 1);
  __syncthreads();
  out[me] = got;
}

/// Both halves of a warp exchange at different places. Right where each uses its own mask.
__global__ void two_places_kernel(unsigned low, unsigned high, int* out) {
  const int me = int(threadIdx.x);
  int got;
  if (me < 16) {
    got = __shfl_xor_sync(low, me, 1);
  } else {
    got = __shfl_xor_sync(high, me, 2);
  }
  __syncwarp();
  out[me] = got;
}

__global__ void read_shared_kernel(int index, float* out) {
  SharedMemory shared;
  const auto values = shared.take<float>(8);
  shared.take<float>(8)[0] = 1;
  *out = values[index];
}

__global__ void take_shared_kernel(int count, float* out) {
  SharedMemory shared;
  *out = shared.take<float>(count)[0];
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void early_return_kernel() {
  if (threadIdx.x == 3) return;
  __syncthreads();
}

__global__ void barrier_in_half_kernel() {
  if (threadIdx.x < 32) __syncthreads();
  __syncwarp();
}

__global__ void write_kernel(float* out, int index) { out[index] = 1; }

__global__ void place_kernel(int* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = int(block * 1000 + thread);
}

}  // namespace ito::kernels

using namespace ito;
using namespace ito::kernels;
using simt::check_caught;
using simt::config;
using simt::DeviceArray;
using simt::violation;

TEST_CASE("a missing barrier gives a wrong sum in some schedule, the right kernel in none") {
  CudaStream stream;
  const int blocks = 3, threads = 256;
  std::vector<float> x(blocks * threads);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(i % 17);
  DeviceArray<float> in(stream, x);
  for (bool barrier : {true, false}) {
    int wrong = 0;
    for (const simt::Schedule& schedule : simt::all_schedules()) {
      DeviceArray<float> out(stream, blocks);
      simt::machine().set_schedule(schedule);
      launch(sum_kernel, config(blocks, threads, 64), stream, in.data(), out.data(), barrier);
      const auto sums = out.read();
      for (int b = 0; b < blocks; ++b) {
        float expected = 0;
        for (int i = 0; i < threads; ++i)
          expected += x[size_t(b * threads + i)];  // small integers: exact in any order
        wrong += !(sums[size_t(b)] == expected);
      }
    }
    CAPTURE(barrier);
    CHECK((wrong > 0) == !barrier);
  }
}

TEST_CASE("collectives of part of a warp need the right mask") {
  CudaStream stream;
  DeviceArray<int32_t> out(stream, 32);
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    launch(half_warp_kernel, config(1, 32), stream, 0xffffu, out.data());
    const auto right = out.read();
    for (int i = 0; i < 32; ++i) CHECK(right[size_t(i)] == (i < 16 ? i ^ 1 : -1));
    launch(two_places_kernel, config(1, 32), stream, 0xffffu, 0xffff0000u, out.data());
    const auto both = out.read();
    for (int i = 0; i < 32; ++i) CHECK(both[size_t(i)] == (i < 16 ? i ^ 1 : i ^ 2));
  }
  const auto half = [&](unsigned mask) {
    return [&stream, &out, mask] { launch(half_warp_kernel, config(1, 32), stream, mask, out.data()); };
  };
  check_caught(half(~0u),
               {"half_warp_kernel", "test_emulator.cpp:", "deadlock", "at the collective", "at the barrier"});
  check_caught(half(0xfffeu), {"half_warp_kernel", "lane 0", "test_emulator.cpp:"});
  check_caught([&] { launch(two_places_kernel, config(1, 32), stream, ~0u, ~0u, out.data()); },
               {"mixed collectives", "test_emulator.cpp:"});
}

TEST_CASE("a shuffle may not read a lane that takes no part") {
  CudaStream stream;
  DeviceArray<int32_t> out(stream, 32);
  // 15 lanes of the half: lane 14 reads lane 15, which does not exist in a block of 15 threads.
  check_caught([&] { launch(half_warp_kernel, config(1, 15), stream, ~0u, out.data()); },
               {"lane 14 reads lane 15"});
}

TEST_CASE("shared memory is checked and starts as NaN") {
  CudaStream stream;
  DeviceArray<float> out(stream, 1);
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    launch(read_shared_kernel, config(1, 1, 64), stream, 7, out.data());
    CHECK(std::isnan(out.read()[0]));
  }
  const auto read = [&](int index) {
    return
        [&stream, &out, index] { launch(read_shared_kernel, config(1, 1, 64), stream, index, out.data()); };
  };
  check_caught(read(8), {"out of bounds: element 8 of the 8", "test_emulator.cpp:", "read_shared_kernel"});
  check_caught(read(-1), {"out of bounds: element -1 of the 8"});
  check_caught([&] { launch(take_shared_kernel, config(1, 1, 64), stream, 17, out.data()); },
               {"out of bounds: 80 bytes taken of the 64"});
}

TEST_CASE("barriers that not all threads reach together are caught") {
  CudaStream stream;
  check_caught([&] { launch(divergent_barrier_kernel, config(1, 64), stream); },
               {"divergent barrier", "test_emulator.cpp:"});
  check_caught([&] { launch(early_return_kernel, config(1, 64), stream); },
               {"early_return_kernel", "barrier", "return"});
  check_caught([&] { launch(barrier_in_half_kernel, config(1, 64), stream); }, {"barrier", "return"});
}

TEST_CASE("the device is usable after a violation") {
  CudaStream stream;
  DeviceArray<float> in(stream, std::vector<float>(64, 1.0f)), out(stream, 1);
  CHECK(violation({}, [&] { launch(divergent_barrier_kernel, config(1, 64), stream); }) != "");
  launch(sum_kernel, config(1, 64, 64), stream, in.data(), out.data(), true);
  CHECK(out.read()[0] == 64);
}

TEST_CASE("a write next to an allocation is caught") {
  CudaStream stream;
  for (int index : {-1, 4}) {
    auto* memory = static_cast<float*>(stream.allocate(4 * sizeof(float)));
    const auto said = violation({}, [&] { launch(write_kernel, config(1, 1), stream, memory, index); });
    CHECK(said.find("write_kernel: wrote") == 0);
    CHECK(said.find("an allocation of 16") != std::string::npos);
    stream.release(memory);
  }
}

TEST_CASE("blocks and threads have their places in three dimensions") {
  CudaStream stream;
  const dim3 grid(2, 3, 2), block(4, 2, 3);
  DeviceArray<int32_t> out(stream, 12 * 24);
  launch(place_kernel, config(grid, block), stream, out.data());
  const auto places = out.read();
  for (int b = 0; b < 12; ++b)
    for (int t = 0; t < 24; ++t) CHECK(places[size_t(b * 24 + t)] == b * 1000 + t);
}

TEST_CASE("launches that a card would refuse are refused") {
  CudaStream stream;
  CHECK_THROWS_WITH(launch(early_return_kernel, config(1, 1025), stream),
                    doctest::Contains("CUDA cannot launch ito::kernels::early_return_kernel: invalid "
                                      "configuration argument"));
  CHECK_THROWS_WITH(launch(early_return_kernel, config(0, 32), stream),
                    doctest::Contains("CUDA cannot launch ito::kernels::early_return_kernel: invalid "
                                      "configuration argument"));
  CHECK_THROWS_WITH(launch(early_return_kernel, config(1, 32, simt::kSharedLimit + 16), stream),
                    doctest::Contains("CUDA cannot give a kernel its shared memory: invalid argument"));
  CHECK_THROWS_WITH(CudaStream(1), doctest::Contains("there is no GPU 1: CUDA sees 1"));
}
