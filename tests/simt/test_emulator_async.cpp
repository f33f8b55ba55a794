#include "kernels/cuda_async.cuh"
#include "kernels/cuda_device.cuh"
#include "tests/simt/emulator_checks.h"

// Copies to shared memory that are under way: what is read too early, or overwritten too early, shows.
namespace ito::kernels {

enum class Bug { none, wait_short, no_barrier, no_commit, load_into_stage_being_read };

inline constexpr int kTile = 4;  // floats that a thread moves at once
inline constexpr int kStages = 3;

/// out[i] = sum over tiles of x[tile][i]: a pipeline of kStages tiles, each thread reading its neighbour's
/// part. The last `skipped` threads copy zeros.
__global__ void pipeline_kernel(const float* x, float* out, int tiles, Bug bug, int skipped) {
  SharedMemory shared;
  const int threads = int(blockDim.x), me = int(threadIdx.x), size = threads * kTile;
  const auto stages = shared.take<float>(kStages * size);
  const auto copy = [&](int tile, int stage) {
    if (tile < tiles)
      cp_async16(&stages[stage * size + me * kTile], x + tile * size + me * kTile, me < threads - skipped);
    if (bug != Bug::no_commit) cp_commit();
  };
  for (int tile = 0; tile < kStages - 1; ++tile) copy(tile, tile);
  const int neighbour = (me + 1) % threads;
  float sum[kTile] = {};
  for (int tile = 0; tile < tiles; ++tile) {
    if (bug == Bug::wait_short) {
      cp_wait<kStages - 1>();
    } else {
      cp_wait<kStages - 2>();
    }
    if (bug != Bug::no_barrier) __syncthreads();
    const int ahead = bug == Bug::load_into_stage_being_read ? tile : tile + kStages - 1;
    copy(tile + kStages - 1, ahead % kStages);
    for (int i = 0; i < kTile; ++i) sum[i] += stages[tile % kStages * size + neighbour * kTile + i];
  }
  for (int i = 0; i < kTile; ++i) out[neighbour * kTile + i] = sum[i];
}

__global__ void misaligned_copy_kernel(const float* x, int to, int from) {
  SharedMemory shared;
  const auto tile = shared.take<float>(16);
  cp_async16(&tile[to], x + from, true);
}

__global__ void misaligned_load_kernel(const float* x, float* out) { store(out, load<4>(x)); }

__global__ void wrong_store_kernel(const float* x) {
  SharedMemory shared;
  const auto tile = shared.take<float>(4);
  store(&tile[0], load<4>(x));
}

enum class WideAccess { load, store, copy };

/// 16 bytes of, or to, an array of 44 that another one follows.
__global__ void wide_shared_kernel(WideAccess which, int element, float* out) {
  SharedMemory shared;
  const auto first = shared.take<float>(11);
  shared.take<float>(8);
  if (which == WideAccess::load) store(out, load<4>(&first[element]));
  if (which == WideAccess::store) store_shared(&first[element], Pack<float, 4>{});
  if (which == WideAccess::copy) {
    cp_async16(&first[element], out, true);
    cp_commit();
    cp_wait<0>();
  }
}

}  // namespace ito::kernels

using namespace ito;
using namespace ito::kernels;
using simt::check_caught;
using simt::config;
using simt::DeviceArray;

namespace {

constexpr int kThreads = 64, kTiles = 7, kSize = kThreads * kTile;
const int kSchedules = int(simt::all_schedules().size());

/// In how many schedules the pipeline's result is wrong.
int wrong_schedules(Bug bug, int skipped = 0) {
  CudaStream stream;
  std::vector<float> x(kTiles * kSize), expected(kSize);
  for (int i = 0; i < kTiles * kSize; ++i) {
    x[size_t(i)] = float(i % 13);
    if (i % kSize < kSize - skipped * kTile) expected[size_t(i % kSize)] += x[size_t(i)];
  }
  DeviceArray<float> in(stream, x);
  int wrong = 0;
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    DeviceArray<float> out(stream, kSize);
    launch(pipeline_kernel, config(1, kThreads, sizeof(float) * kStages * kSize), stream, in.data(),
           out.data(), kTiles, bug, skipped);
    wrong += out.read() != expected;
  }
  return wrong;
}

}  // namespace

TEST_CASE("a pipeline of asynchronous copies") {
  CHECK(wrong_schedules(Bug::none) == 0);
  CHECK(wrong_schedules(Bug::none, 5) == 0);
}

TEST_CASE("a wait one group short reads what has not landed, under every schedule") {
  CHECK(wrong_schedules(Bug::wait_short) == kSchedules);
}

TEST_CASE("a wait does not cover what was never committed") {
  CHECK(wrong_schedules(Bug::no_commit) == kSchedules);
}

TEST_CASE("copies of other threads need a barrier") { CHECK(wrong_schedules(Bug::no_barrier) > 0); }

TEST_CASE("a copy into the stage that is read shows") {
  CHECK(wrong_schedules(Bug::load_into_stage_being_read) == kSchedules);
}

TEST_CASE("asynchronous copies need alignment and memory that is there") {
  CudaStream stream;
  auto* const memory = static_cast<float*>(stream.allocate(64));
  const auto copy = [&](int to, int from) {
    return [&stream, memory, to, from] {
      launch(misaligned_copy_kernel, config(1, 1, 64), stream, memory, to, from);
    };
  };
  check_caught(copy(2, 0),
               {"misaligned_copy_kernel", "test_emulator_async.cpp:", "8 bytes past a multiple of the 16"});
  check_caught(copy(0, 1), {"misaligned_copy_kernel", "4 bytes past a multiple of the 16"});
  check_caught(copy(0, 16), {"test_emulator_async.cpp:", "outside of what is allocated"});
  check_caught(copy(16, 0), {"shared memory out of bounds: element 16 of the 16"});
  stream.release(memory);
}

TEST_CASE("a wide access to shared memory stays in the array in which it begins") {
  CudaStream stream;
  DeviceArray<float> out(stream, 4);
  const auto access = [&](WideAccess which, int element) {
    return [&stream, &out, which, element] {
      launch(wide_shared_kernel, config(1, 1, 128), stream, which, element, out.data());
    };
  };
  for (const WideAccess which : {WideAccess::load, WideAccess::store, WideAccess::copy}) {
    access(which, 4)();
    stream.synchronize();
    check_caught(access(which, 8), {"wide_shared_kernel", "test_emulator_async.cpp:",
                                    "out of bounds: 16 bytes from byte 32 of an array of 44"});
  }
}

TEST_CASE("wide accesses need alignment") {
  CudaStream stream;
  DeviceArray<float> x(stream, 8), out(stream, 8);
  const auto move = [&](int from, int to) {
    return [&stream, in = x.data() + from, result = out.data() + to] {
      launch(misaligned_load_kernel, config(1, 1), stream, in, result);
    };
  };
  check_caught(move(1, 0),
               {"misaligned_load_kernel", "test_emulator_async.cpp:", "misaligned address: 4 bytes"});
  check_caught(move(0, 2),
               {"misaligned_load_kernel", "test_emulator_async.cpp:", "misaligned address: 8 bytes"});
  CHECK(simt::violation({}, move(0, 0)) == "");
}

TEST_CASE("what is stored to global memory may not be shared memory") {
  CudaStream stream;
  DeviceArray<float> x(stream, 4);
  check_caught([&] { launch(wrong_store_kernel, config(1, 1, 64), stream, x.data()); },
               {"wrong_store_kernel", "test_emulator_async.cpp:", "got an address in shared memory"});
}
