#pragma once

#include <cuda_runtime.h>

/// Copies from global to shared memory that run while the thread goes on (sm_80 and later): issue them, commit them as
/// a group, wait for the group, and only then read. Other threads' copies need a barrier after the wait as well.
/// The tests' emulator lets a copy land when the thread that issued it waits, never earlier.
namespace ito::kernels {

#if defined(__CUDACC__)

__device__ inline unsigned shared_address(const void* p) { return unsigned(__cvta_generic_to_shared(p)); }

/// 16 bytes to shared memory, past the L1 cache; both addresses are multiples of 16. Zeros where not valid:
/// `from` is not read then.
__device__ inline void cp_async16(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
/// Makes a group of what the thread has issued since the last one.
__device__ inline void cp_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most the N newest groups of the thread are still under way.
template <int N>
__device__ inline void cp_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

#else

using simt::cp_async16;
using simt::cp_commit;
using simt::cp_wait;

#endif

}  // namespace ito::kernels
