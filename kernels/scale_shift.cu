#include "kernels/base/math.h"
#include "kernels/cuda_map.cuh"
#include "kernels/scale_shift.h"

// Vectors of each sample, no images. Bytes for each channel and sample in bf16, which are the minimum: forward reads
// the modulation (4) and writes scale and shift (8); backward reads their gradients (8) and s (2) and writes
// dmodulation (4).
namespace ito::kernels {

struct ScaleShiftForward {
  const float *gamma, *beta;
  float *scale, *shift;
};

/// Grid: blocks of the channels x samples.
template <class T>
__global__ void __launch_bounds__(kMapThreads)
    scale_shift_forward_kernel(int c, const T* modulation, ScaleShiftForward args) {
  const int64_t channel = first_element(1), n = blockIdx.y;
  if (channel >= c) return;
  const T* const s = modulation + n * 2 * c + channel;
  const float factor = 1 + float(s[0]);
  args.scale[n * c + channel] = args.gamma[channel] * factor;
  args.shift[n * c + channel] = fmaf(args.beta[channel], factor, float(s[c]));
}

/// dgamma and dbeta of a channel.
struct ParameterSums {
  float gamma, beta;
  __device__ void merge(const ParameterSums& other) { gamma += other.gamma, beta += other.beta; }
};

template <class T>
struct ScaleShiftBackward {
  const float *gamma, *beta, *dscale, *dshift;
  const T* modulation;
  float *dgamma, *dbeta;  // null: not wanted
  T* dmodulation;         // null: not wanted
};

inline constexpr int kScaleShiftChannels = 32, kScaleShiftRows = 16;
static_assert(kScaleShiftChannels * kScaleShiftRows <= 1024, "a block has at most 1024 threads");

/// Block: 32 channels x 16 rows of samples; it writes its channels of every sample and their sums.
template <class T>
__global__ void __launch_bounds__(kScaleShiftChannels* kScaleShiftRows)
    scale_shift_backward_kernel(int n, int c, ScaleShiftBackward<T> args) {
  SharedMemory shared;
  const auto slots = shared.take<ParameterSums>(kScaleShiftChannels * kScaleShiftRows);
  const int column = int(threadIdx.x) % kScaleShiftChannels, row = int(threadIdx.x) / kScaleShiftChannels;
  const int channel = int(blockIdx.x) * kScaleShiftChannels + column;
  ParameterSums sums{};
  if (channel < c) {
    const float gamma = args.gamma[channel], beta = args.beta[channel];
#pragma unroll 4
    for (int sample = row; sample < n; sample += kScaleShiftRows) {
      const int64_t at = int64_t(sample) * c + channel, s = at + int64_t(sample) * c;
      const float dscale = args.dscale[at], dshift = args.dshift[at];
      const float factor = 1 + float(args.modulation[s]);
      sums.gamma = fmaf(dscale, factor, sums.gamma);
      sums.beta = fmaf(dshift, factor, sums.beta);
      if (!args.dmodulation) continue;
      args.dmodulation[s] = narrow<T>(fmaf(dscale, gamma, dshift * beta));
      args.dmodulation[s + c] = narrow<T>(dshift);
    }
  }
  if (!args.dgamma) return;
  merge_rows(slots, row, kScaleShiftRows, column, kScaleShiftChannels, sums);
  if (row > 0 || channel >= c) return;
  args.dgamma[channel] = sums.gamma;
  args.dbeta[channel] = sums.beta;
}

void scale_shift_forward(CudaStream& stream, const ScaleShiftDims& d, const ScaleShiftInputs& in, Out scale,
                         Out shift) {
  check_scale_shift(d);
  visit_cuda("scale_shift", in.modulation.dtype, [&](auto t) {
    using T = decltype(t);
    const ScaleShiftForward args{.gamma = in.gamma.as<float>(),
                                 .beta = in.beta.as<float>(),
                                 .scale = scale.as<float>(),
                                 .shift = shift.as<float>()};
    launch(scale_shift_forward_kernel<T>, map_config("scale_shift", d.n, d.c, 1), stream, d.c,
           in.modulation.as<T>(), args);
  });
}

void scale_shift_backward(CudaStream& stream, const ScaleShiftDims& d, const ScaleShiftInputs& in, In dscale,
                          In dshift, const ScaleShiftGradients& out) {
  check_scale_shift(d, out);
  visit_cuda("scale_shift", in.modulation.dtype, [&](auto t) {
    using T = decltype(t);
    const ScaleShiftBackward<T> args{.gamma = in.gamma.as<float>(),
                                     .beta = in.beta.as<float>(),
                                     .dscale = dscale.as<float>(),
                                     .dshift = dshift.as<float>(),
                                     .modulation = in.modulation.as<T>(),
                                     .dgamma = out.dgamma.as<float>(),
                                     .dbeta = out.dbeta.as<float>(),
                                     .dmodulation = out.dmodulation.as<T>()};
    LaunchConfig config;
    config.grid = dim3(unsigned(div_up(d.c, kScaleShiftChannels)));
    config.block = dim3(kScaleShiftChannels * kScaleShiftRows);
    config.shared_bytes = shared_size<ParameterSums>(kScaleShiftChannels * kScaleShiftRows);
    launch(scale_shift_backward_kernel<T>, config, stream, d.n, d.c, args);
  });
}

}  // namespace ito::kernels
