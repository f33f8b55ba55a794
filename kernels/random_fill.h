#pragma once

#include <cstdint>

#include "kernels/base/philox.h"

/// Runs of a random stream on the CPU, sixty-four blocks at a time in vector code. The same numbers as
/// philox.h's random_block, uniform_open and normal_block give one by one.
namespace ito::kernels {

/// out[i] = element begin + i of the stream as a uniform number in (0, 1).
void fill_uniform(const RandomKey&, int64_t begin, int64_t count, float* out);

/// out[i] = element begin + i of the stream as a N(0,1) number.
void fill_normal(const RandomKey&, int64_t begin, int64_t count, float* out);

}  // namespace ito::kernels
