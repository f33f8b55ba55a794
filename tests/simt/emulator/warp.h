#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/base/bf16.h"
#include "tests/simt/emulator/machine.h"

/// Collectives of a warp, and what kernels/cuda_async.cuh and kernels/cuda_mma.cuh have of the emulator.
namespace simt {

/// Each lane of `mask` gives a value and gets that of lane `source`.
uint64_t shuffle(uint32_t mask, uint64_t value, int source, const SourceLocation&);
/// The lanes of `mask` whose vote is true.
uint32_t ballot(uint32_t mask, bool vote, const SourceLocation&);
void sync_warp(uint32_t mask, const SourceLocation&);

void cp_async16(void* to, const void* from, bool valid, const SourceLocation& = {});
inline void cp_commit() { machine().async_copies().commit(); }
template <int N>
void cp_wait() {
  machine().async_copies().wait(N);
}

void ldmatrix_x4(uint32_t (&matrices)[4], const ito::bf16* row, const SourceLocation& = {});
void ldmatrix_x4_trans(uint32_t (&matrices)[4], const ito::bf16* row, const SourceLocation& = {});
void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const SourceLocation& = {});

}  // namespace simt
