#include "kernels/cuda_device.cuh"
#include "kernels/cuda_mma.cuh"
#include "tests/simt/emulator_checks.h"

// Collectives of a warp against what CUDA's documents say of them.
namespace ito::kernels {

/// D [16,8] = A [16,16] B, with B given as its rows [16,8] or as its columns [8,16].
__global__ void product_kernel(const bf16* a, const bf16* b, bool b_is_transposed, float* d) {
  SharedMemory shared;
  const auto rows = shared.take<bf16>(16 * 16);
  const auto other = shared.take<bf16>(16 * 8);
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 16 * 16; i += kWarpSize) rows[i] = a[i];
  for (int i = lane; i < 16 * 8; i += kWarpSize) other[i] = b[i];
  __syncwarp();
  uint32_t x[4], y[4];
  ldmatrix_x4(x, &rows[lane % 16 * 16 + lane / 16 * 8]);
  if (b_is_transposed) {
    ldmatrix_x4(y, &other[lane % 8 * 16 + lane / 8 % 2 * 8]);
  } else {
    ldmatrix_x4_trans(y, &other[lane % 16 * 8]);
  }
  float sum[4] = {};
  mma_bf16(sum, x, {y[0], y[1]});
  for (int i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sum[i];
}

__global__ void row_address_kernel(int index) {
  SharedMemory shared;
  const auto rows = shared.take<bf16>(60);
  uint32_t matrices[4];
  ldmatrix_x4(matrices, &rows[index]);
}

__global__ void part_of_warp_product_kernel() {
  float d[4] = {};
  const uint32_t a[4] = {};
  mma_bf16(d, a, {0, 0});
}

__global__ void votes_kernel(int* out) {
  const int lane = int(threadIdx.x);
  const unsigned odd = __ballot_sync(~0u, lane % 2 == 1);
  int* const mine = out + lane * 6;
  mine[0] = __popc(odd) == 16 && __ffs(int(odd)) == 2 && __clz(int(odd)) == 0;
  mine[1] = __any_sync(~0u, lane == 7) && !__any_sync(~0u, lane > 40);
  mine[2] = __all_sync(~0u, lane < 32) && !__all_sync(~0u, lane != 7);
  mine[3] = __shfl_down_sync(~0u, lane, 3);
  mine[4] = __shfl_up_sync(~0u, lane, 5);
  mine[5] = __shfl_sync(~0u, lane, lane * 7);
}

__global__ void atomics_kernel(int* sum, unsigned* most, unsigned long long* swapped) {
  const int me = int(blockIdx.x * blockDim.x + threadIdx.x);
  __threadfence();
  atomicAdd(sum, me);
  __threadfence();
  atomicMax(most, unsigned(me * 37 % 101));
  __threadfence();
  atomicCAS(swapped, 0ull, 1ull + unsigned(me));
}

__global__ void signal_kernel(unsigned* count, bool before, bool after) {
  if (before) __threadfence();
  atomicAdd(count, 1u);
  if (after) __threadfence();
  __syncthreads();
}

/// Reads a pack of floats at an offset, and writes it elsewhere.
__global__ void copy_pack_kernel(const float* from, float* to) { store(to, load<1>(from)); }

}  // namespace ito::kernels

using namespace ito;
using namespace ito::kernels;
using simt::check_caught;
using simt::config;
using simt::DeviceArray;

TEST_CASE("a product on tensor cores, its operands loaded either way") {
  CudaStream stream;
  std::vector<bf16> a, rows, columns(8 * 16);
  for (int i = 0; i < 16 * 16; ++i) a.push_back(bf16(float(i * 29 % 31 - 15)));
  for (int i = 0; i < 16 * 8; ++i) rows.push_back(bf16(float(i * 23 % 19 - 9)));
  for (int k = 0; k < 16; ++k)
    for (int n = 0; n < 8; ++n) columns[size_t(n * 16 + k)] = rows[size_t(k * 8 + n)];
  std::vector<float> expected(16 * 8);
  for (int m = 0; m < 16; ++m)
    for (int n = 0; n < 8; ++n)
      for (int k = 0; k < 16; ++k)
        expected[size_t(m * 8 + n)] += float(a[size_t(m * 16 + k)]) * float(rows[size_t(k * 8 + n)]);
  DeviceArray<bf16> x(stream, a), b(stream, rows), b_transposed(stream, columns);
  for (const simt::Schedule& schedule : simt::all_schedules())
    for (bool transposed : {false, true}) {
      simt::machine().set_schedule(schedule);
      DeviceArray<float> d(stream, expected.size());
      launch(product_kernel, config(1, 32, 1024), stream, x.data(), (transposed ? b_transposed : b).data(),
             transposed, d.data());
      CHECK(d.read() == expected);
    }
}

TEST_CASE("matrices need aligned rows in shared memory, and a whole warp") {
  CudaStream stream;
  const auto load = [&](int index, int threads) {
    return [&stream, index, threads] {
      launch(row_address_kernel, config(1, dim3(unsigned(threads)), 128), stream, index);
    };
  };
  check_caught(load(4, 32), {"row_address_kernel", "test_emulator_warp.cpp:", "misaligned address: 8 bytes"});
  check_caught(load(64, 32), {"out of bounds: element 64 of the 60"});
  check_caught(load(56, 32), {"out of bounds: 16 bytes from byte 112 of an array of 120"});
  check_caught(load(0, 31), {"row_address_kernel", "test_emulator_warp.cpp:", "needs all 32 lanes"});
  check_caught([&] { launch(part_of_warp_product_kernel, config(1, 16), stream); },
               {"part_of_warp_product_kernel", "test_emulator_warp.cpp:", "needs all 32 lanes"});
}

TEST_CASE("votes and shuffles") {
  CudaStream stream;
  for (const simt::Schedule& schedule : simt::all_schedules()) {
    simt::machine().set_schedule(schedule);
    DeviceArray<int32_t> out(stream, 32 * 6);
    launch(votes_kernel, config(1, 32), stream, out.data());
    const auto got = out.read();
    for (int lane = 0; lane < 32; ++lane) {
      const int32_t* const mine = &got[size_t(lane * 6)];
      for (int i = 0; i < 3; ++i) CHECK(mine[i] == 1);
      CHECK(mine[3] == (lane + 3 < 32 ? lane + 3 : lane));
      CHECK(mine[4] == (lane >= 5 ? lane - 5 : lane));
      CHECK(mine[5] == lane * 7 % 32);
    }
  }
}

TEST_CASE("an atomic on global memory wants a fence before it and another one behind it") {
  CudaStream stream;
  DeviceArray<unsigned> count(stream, std::vector<unsigned>{0});
  const auto run = [&](bool before, bool after) {
    return [&, before, after] { launch(signal_kernel, config(2, 32), stream, count.data(), before, after); };
  };
  check_caught(run(false, true), {"signal_kernel", "without a fence before it"});
  check_caught(run(true, false), {"signal_kernel", "without a fence between them"});
  simt::machine().set_schedule({});
  run(true, true)();
  stream.synchronize();
}

TEST_CASE(
    "reads and writes outside of an array are caught, an element away or in another allocation's guard") {
  CudaStream stream;
  DeviceArray<float> from(stream, std::vector<float>{1, 2}), to(stream, 2, 1);
  const auto run = [&](int read, int write) {
    return [&, read, write] {
      launch(copy_pack_kernel, config(1, 1), stream, from.data() + read, to.data() + write);
    };
  };
  for (const int outside : {-1, 2, -64, 65, 200}) {
    check_caught(run(outside, 0),
                 {"copy_pack_kernel", "4 bytes of device memory outside of what is allocated"});
    check_caught(run(0, outside),
                 {"copy_pack_kernel", "4 bytes of device memory outside of what is allocated"});
  }
  simt::machine().set_schedule({});
  run(1, 1)();
  CHECK(to.read()[1] == 2);
}

TEST_CASE("a guard that is copied into another one's place is seen") {
  CudaStream stream;
  DeviceArray<float> from(stream, std::vector<float>{1, 2}), to(stream, 2);
  CHECK(std::isnan(from.read()[0]) == false);
  stream.copy(to.data() + 2, from.data() + 2, sizeof(float));
  CHECK_THROWS_WITH(to.read(), "a kernel wrote outside its result");
}

TEST_CASE("atomics of integers") {
  CudaStream stream;
  DeviceArray<int32_t> sum(stream, std::vector<int32_t>{5});
  DeviceArray<uint32_t> most(stream, std::vector<uint32_t>{0});
  DeviceArray<unsigned long long> swapped(stream, std::vector<unsigned long long>{0});
  simt::machine().set_schedule({});
  launch(atomics_kernel, config(4, 64), stream, sum.data(), most.data(), swapped.data());
  CHECK(sum.read()[0] == 5 + 255 * 256 / 2);
  CHECK(most.read()[0] == 100);
  CHECK(swapped.read()[0] == 1);
}
