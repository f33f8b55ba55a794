#pragma once

#include <cstdint>

#include "kernels/dtype.h"
#include "kernels/stream.h"

/// What a library's product needs around it: operands joined and split, epilogues, sums of columns.
namespace ito::kernels::cuda_library {

/// to[row, c] = from[row, c], c < width, converted; rows start a pitch apart. f32 and bf16.
void copy_columns(CudaStream&, int64_t rows, int width, In from, int from_pitch, Out to, int to_pitch);

/// y[row,c] = sums[row,c] + bias[c] + shift[row / rows_per_shift, c] + residual[row,c], rounded once. Any but
/// sums, f32 or of y's dtype, may be null; sums may be y.
struct Epilogue {
  In bias = {}, shift = {}, residual = {};
  int rows_per_shift = 1;
};
void finish(CudaStream&, int64_t rows, int columns, In sums, const Epilogue&, Out y);

/// sums[c] = sum over rows of x[row,c], f32, in a fixed order. scratch: bytes as below.
size_t column_sums_bytes(int64_t rows, int columns);
void column_sums(CudaStream&, int64_t rows, int columns, In x, float* sums, void* scratch);

}  // namespace ito::kernels::cuda_library
