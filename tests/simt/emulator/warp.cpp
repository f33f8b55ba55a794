#include "tests/simt/emulator/warp.h"

#include <bit>

#include "kernels/base/error.h"
#include "tests/simt/emulator/memory.h"

namespace simt {

using ito::bf16;
using ito::cat;

namespace {

constexpr uint32_t kWholeWarp = ~0u;

// ---- shuffles and votes ----

struct Shuffled {
  uint64_t value;
  int source;
  uint64_t received;
};

void combine_shuffle(Lanes& lanes) {
  lanes.each<Shuffled>([&](int lane, Shuffled& mine) {
    if (lanes.has(mine.source))
      mine.received = lanes.at<Shuffled>(mine.source).value;
    else
      lanes.refuse(
          lane, cat("lane ", lane, " reads lane ", mine.source, ", which takes no part in the collective"));
  });
}

struct Vote {
  bool vote;
  uint32_t all;
};

void combine_votes(Lanes& lanes) {
  uint32_t all = 0;
  lanes.each<Vote>([&](int lane, Vote& mine) { all |= uint32_t(mine.vote) << lane; });
  lanes.each<Vote>([&](int, Vote& mine) { mine.all = all; });
}

// ---- tensor cores ----

/// Whether all lanes are there, which these instructions need.
bool is_whole(Lanes& lanes) {
  if (lanes.present() != kWholeWarp)
    lanes.refuse(__builtin_ctz(lanes.present()), "a matrix instruction needs all 32 lanes of a warp");
  return lanes.present() == kWholeWarp;
}

struct RowOfMatrix {
  const bf16* row;  // lane 8 i + r: row r of matrix i
  uint32_t* result;
};

uint32_t pack(bf16 low, bf16 high) { return low.bits | uint32_t(high.bits) << 16; }

/// Lane 4 r + c gets elements 2 c and 2 c + 1 of row r of each matrix; of column r where transposed.
template <bool kTransposed>
void combine_ldmatrix(Lanes& lanes) {
  if (!is_whole(lanes)) return;
  for (int i = 0; i < 4; ++i) {
    const bf16* rows[8];
    for (int r = 0; r < 8; ++r) rows[r] = lanes.at<RowOfMatrix>(8 * i + r).row;
    lanes.each<RowOfMatrix>([&](int lane, RowOfMatrix& mine) {
      const int r = lane / 4, c = lane % 4 * 2;
      mine.result[i] = kTransposed ? pack(rows[c][r], rows[c + 1][r]) : pack(rows[r][c], rows[r][c + 1]);
    });
  }
}

template <bool kTransposed>
void ldmatrix(uint32_t* result, const bf16* row, const SourceLocation& place) {
  constexpr size_t kRowBytes = 16;
  check_aligned(row, kRowBytes, place);
  if (!machine().is_shared(row, kRowBytes))
    machine().report("ldmatrix reads outside the block's shared memory", place);
  machine().check_array(row, kRowBytes, place);
  RowOfMatrix mine{row, result};
  machine().collective(kWholeWarp, &mine, combine_ldmatrix<kTransposed>, place);
}

struct Product {
  float* d;
  const uint32_t *a, *b;
};

float low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float high(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

/// d[16][8] += a[16][16] b[16][8]. Lane 4 g + t holds, two neighbours at a time:
///   a: (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8); b: (2t, g) (2t + 8, g), along k; d: (g, 2t) (g + 8,
///   2t)
void combine_mma(Lanes& lanes) {
  if (!is_whole(lanes)) return;
  float a[16][16], b[16][8];
  lanes.each<Product>([&](int lane, const Product& mine) {
    const int g = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      float* const to = &a[g + i % 2 * 8][t + i / 2 * 8];
      to[0] = low(mine.a[i]), to[1] = high(mine.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      b[t + i * 8][g] = low(mine.b[i]);
      b[t + i * 8 + 1][g] = high(mine.b[i]);
    }
  });
  for (int row = 0; row < 16; ++row) {
    const int first = row % 8 * 4, half = row / 8 * 2;
    float sum[8];
    for (int n = 0; n < 8; ++n) sum[n] = lanes.at<Product>(first + n / 2).d[half + n % 2];
    for (int k = 0; k < 16; ++k)
      for (int n = 0; n < 8; ++n) sum[n] += a[row][k] * b[k][n];  // the product is exact
    for (int n = 0; n < 8; ++n) lanes.at<Product>(first + n / 2).d[half + n % 2] = sum[n];
  }
}

}  // namespace

uint64_t shuffle(uint32_t mask, uint64_t value, int source, const SourceLocation& place) {
  Shuffled mine{value, source, 0};
  machine().collective(mask, &mine, combine_shuffle, place);
  return mine.received;
}

uint32_t ballot(uint32_t mask, bool vote, const SourceLocation& place) {
  Vote mine{vote, 0};
  machine().collective(mask, &mine, combine_votes, place);
  return mine.all;
}

void sync_warp(uint32_t mask, const SourceLocation& place) {
  machine().collective(
      mask, nullptr, [](Lanes&) {}, place);
}

void cp_async16(void* to, const void* from, bool valid, const SourceLocation& place) {
  check_aligned(to, AsyncCopies::kBytes, place);
  if (!machine().is_shared(to, AsyncCopies::kBytes))
    machine().report("cp_async16 writes outside the block's shared memory", place);
  machine().check_array(to, AsyncCopies::kBytes, place);
  if (valid) {
    check_aligned(from, AsyncCopies::kBytes, place);
    if (!device_memory().is_shown(from, AsyncCopies::kBytes))
      machine().report("cp_async16 reads device memory outside of what is allocated", place);
  }
  machine().async_copies().issue(to, valid ? from : nullptr);
}

void ldmatrix_x4(uint32_t (&matrices)[4], const bf16* row, const SourceLocation& place) {
  ldmatrix<false>(matrices, row, place);
}
void ldmatrix_x4_trans(uint32_t (&matrices)[4], const bf16* row, const SourceLocation& place) {
  ldmatrix<true>(matrices, row, place);
}

void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const SourceLocation& place) {
  Product mine{d, a, b};
  machine().collective(kWholeWarp, &mine, combine_mma, place);
}

}  // namespace simt
