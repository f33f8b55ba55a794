#pragma once

#include "kernels/base/philox.h"
#include "kernels/dtype.h"
#include "kernels/stream.h"

namespace ito::kernels {

/// y[n,e] = keep ? x[n,e] / (1 - p) : 0, keep where element e's uniform number of the stream
/// (seed, dropout, *step, first_sample + n | layer << 20) is >= p. 0 <= p < 1; layer < 4096; samples < 2^20.
/// The mask is drawn again in the backward pass: backward is the same call on dy. step is read on the device.
struct DropoutKey {
  uint64_t seed;
  uint32_t layer;
  uint32_t first_sample;
  const uint32_t* step;
};
void dropout(CpuStream&, int n, int64_t per_sample, float p, const DropoutKey&, In x, Out y);
void dropout(CudaStream&, int n, int64_t per_sample, float p, const DropoutKey&, In x, Out y);

/// Error: a key without room for n samples, or a p outside of [0, 1).
void check_dropout(int n, float p, const DropoutKey&);

}  // namespace ito::kernels
