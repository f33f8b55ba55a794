#include "kernels/cuda_async.cuh"
#include "kernels/cuda_device.cuh"
#include "tests/simt/child.h"
#include "tests/simt/emulator_checks.h"

// In the build with ThreadSanitizer: what two threads of a kernel do to the same memory without a barrier is
// reported as a data race, whatever the result is.
namespace ito::kernels {

/// A thread reads its neighbour's slot.
__global__ void neighbour_kernel(float* out, bool barrier) {
  SharedMemory shared;
  const auto slots = shared.take<float>(int(blockDim.x));
  const int me = int(threadIdx.x);
  slots[me] = float(me);
  if (barrier) __syncthreads();
  out[me] = slots[(me + 1) % int(blockDim.x)];
}

/// All threads write the same value, so the result is always right.
__global__ void same_value_kernel(float* out) { *out = 1; }

/// A result a thread, or one that a block reads of the one before it.
__global__ void blocks_kernel(float* out, bool neighbour) {
  SharedMemory shared;
  const auto slots = shared.take<float>(int(blockDim.x));
  slots[int(threadIdx.x)] = 1;
  __syncthreads();
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (threadIdx.x == 0 && neighbour && blockIdx.x > 0) slots[0] = out[i - blockDim.x];
  out[i] = slots[int(threadIdx.x)];
}

/// The block that comes last reads what each has left.
__global__ void last_block_kernel(unsigned* done, float* out, bool fence) {
  out[blockIdx.x] = 1;
  if (fence) __threadfence();
  const bool is_last = atomicAdd(done, 1u) == gridDim.x - 1;
  if (fence) __threadfence();
  if (!is_last) return;
  for (unsigned i = 1; i < gridDim.x; ++i) out[0] += out[i];
}

/// A thread reads what its neighbour's asynchronous copy brings, and the next copy follows at once.
__global__ void copies_kernel(const float* x, float* out, bool barrier_before_read, bool barrier_after_read) {
  SharedMemory shared;
  const auto tile = shared.take<float>(4 * int(blockDim.x));
  const int me = int(threadIdx.x), next = (me + 1) % int(blockDim.x);
  for (int round = 0; round < 2; ++round) {
    cp_async16(&tile[4 * me], x + 4 * me, true);
    cp_commit();
    cp_wait<0>();
    if (barrier_before_read) __syncthreads();
    out[me] = tile[4 * next];
    if (barrier_after_read) __syncthreads();
  }
}

/// The warp's sum, by one slot a lane and a collective between.
__global__ void collective_kernel(float* out, bool sync) {
  SharedMemory shared;
  const auto slots = shared.take<float>(32);
  const int lane = int(threadIdx.x);
  slots[lane] = float(lane);
  if (sync) __syncwarp();
  float sum = 0;
  for (int i = 0; i < 32; ++i) sum += slots[i];
  sum = __shfl_sync(~0u, sum, 0);
  out[lane] = sum;
}

}  // namespace ito::kernels

/// Children of this process make threads, which the sanitizer forbids by default.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

using namespace ito;
using namespace ito::kernels;
using simt::config;

namespace {

/// Whether a data race is reported while run(stream, x, out) and what it queues are carried out.
template <class Run>
bool races(const Run& run) {
  const simt::Ended ended = simt::in_child([&] {
    simt::machine().set_schedule({});
    CudaStream stream;
    simt::DeviceArray<float> x(stream, std::vector<float>(256, 1.0f)), out(stream, 64);
    run(stream, x.data(), out.data());
    simt::finish();
  });
  const bool found = ended.said.find("data race") != std::string::npos;
  INFO(ended.said);
  CHECK(found == (ended.said != ""));
  return found;
}

}  // namespace

TEST_CASE("a missing barrier on shared memory is a race") {
  const auto neighbour = [](bool barrier) {
    return [barrier](CudaStream& stream, float*, float* out) {
      launch(neighbour_kernel, config(1, 64, 256), stream, out, barrier);
    };
  };
  CHECK(races(neighbour(false)));
  CHECK(!races(neighbour(true)));
}

TEST_CASE("two writers of a result are a race, two launches are none") {
  const auto write = [](unsigned threads, int launches) {
    return [=](CudaStream& stream, float*, float* out) {
      for (int i = 0; i < launches; ++i) launch(same_value_kernel, config(1, threads), stream, out);
    };
  };
  CHECK(races(write(2, 1)));
  CHECK(!races(write(1, 3)));
}

TEST_CASE("blocks of a launch are ordered by nothing") {
  const auto same_value = [](CudaStream& stream, float*, float* out) {
    launch(same_value_kernel, config(2, 1), stream, out);
  };
  CHECK(races(same_value));
  const auto blocks = [](bool neighbour, int launches) {
    return [=](CudaStream& stream, float*, float* out) {
      for (int i = 0; i < launches; ++i) launch(blocks_kernel, config(5, 8, 32), stream, out, neighbour);
    };
  };
  CHECK(races(blocks(true, 1)));
  CHECK(!races(blocks(false, 2)));
}

TEST_CASE("fences order the accesses around them") {
  const auto last_block = [](bool fence) {
    return [fence](CudaStream& stream, float*, float* out) {
      stream.zero(out, 5 * sizeof(float));
      launch(last_block_kernel, config(4, 1), stream, reinterpret_cast<unsigned*>(out + 4), out, fence);
    };
  };
  CHECK(!races(
      last_block(true)));  // without them the emulator itself refuses the atomic (test_emulator_warp.cpp)
}

TEST_CASE("asynchronous copies belong to the thread that issues them") {
  const auto copies = [](bool before, bool after) {
    return [=](CudaStream& stream, float* x, float* out) {
      launch(copies_kernel, config(1, 64, 1024), stream, x, out, before, after);
    };
  };
  CHECK(races(copies(false, true)));
  CHECK(races(copies(true, false)));
  CHECK(!races(copies(true, true)));
}

TEST_CASE("collectives order their lanes") {
  const auto collective = [](bool sync) {
    return [sync](CudaStream& stream, float*, float* out) {
      launch(collective_kernel, config(1, 32, 128), stream, out, sync);
    };
  };
  CHECK(races(collective(false)));
  CHECK(!races(collective(true)));
}
