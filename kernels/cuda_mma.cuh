#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/base/bf16.h"
#include "kernels/cuda_async.cuh"  // shared_address

/// Products of small matrices by a whole warp, on tensor cores (sm_80 and later). All 32 lanes call together.
/// Lane 4 g + t holds, two neighbouring elements a register (PTX, "Matrix Fragments for mma.m16n8k16"):
///   a[4] of A [16,16], (row, column):  (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8)
///   b[2] of B [16,8], along its rows:  (2t, g) (2t + 8, g)
///   d[4] of D [16,8], an element each: (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
namespace ito::kernels {

#if defined(__CUDACC__)

/// Four 8x8 matrices from shared memory: lane 8 i + r gives the address of row r of matrix i, a multiple of
/// 16 bytes. Lane 4 g + t gets elements 2t and 2t + 1 of row g of each.
__device__ inline void ldmatrix_x4(uint32_t (&matrices)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}
/// The same of the transposed matrices: elements 2t and 2t + 1 of column g.
__device__ inline void ldmatrix_x4_trans(uint32_t (&matrices)[4], const bf16* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
               : "r"(shared_address(row))
               : "memory");
}
/// D += A B, bf16 with sums in f32.
__device__ inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

using simt::ldmatrix_x4;
using simt::ldmatrix_x4_trans;
using simt::mma_bf16;

#endif

}  // namespace ito::kernels
