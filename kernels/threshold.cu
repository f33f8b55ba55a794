#include "kernels/base/vector_math.h"
#include "kernels/sde_denoise.cuh"
#include "kernels/threshold_quantile.h"

// An element's x (4 bytes) and f (2 in bf16, and 2 of a guide) are read three times, a fourth time where the quantile
// lies between two values that differ; once is the minimum. All but the first time an image of 64x64 RGB (74 KB) comes
// from the second-level cache, so that no D_0 is written.
namespace ito::kernels {

inline constexpr int kLimitThreads = 512;
inline constexpr int kLimitPack = kPackWidth<float>;  // x's
inline constexpr int kMostBins = 2048;

/// All NaN sort as this one, above infinity, which is 0x7f800000; no number shares its first eleven bits.
inline constexpr uint32_t kNaNBits = 0x7fffffffu;

template <class F>
struct DynamicLimitArguments {
  int per_image;
  const SdeStep* step;
  SdeDenoiseArguments<F> denoise;
  int below;
  float weight;
  float* limit;
};

namespace {

/// Some of the 31 bits of |D_0|.
struct Digit {
  int shift, width;
  __device__ int bins() const { return 1 << width; }
  __device__ int of(uint32_t bits) const { return int(bits >> shift) & (bins() - 1); }
  __device__ uint32_t higher(uint32_t bits) const { return bits >> (shift + width); }
};

/// The bin in which the wanted value is.
struct ChosenBin {
  int bin;
  unsigned rank;   // of the value in the bin, from 0
  unsigned count;  // of the bin
  unsigned last;   // of the last bin
};

struct LeastBits {
  uint32_t value;
  __device__ void merge(const LeastBits& other) { value = min(value, other.value); }
};

/// |d| as an integer: nonnegative floats are ordered as their bits are.
__device__ uint32_t magnitude_bits(float d) {
  const uint32_t bits = uint32_t(bits_of_float(d)) & 0x7fffffffu;
  return bits > 0x7f800000u ? kNaNBits : bits;
}

/// Calls use(bits) for the thread's share of |D_0| of the block's image.
template <int V, class F, class Use>
__device__ void each_magnitude(const DynamicLimitArguments<F>& args, Use use) {
  const SdeDenoise<float> numbers(*args.step);
  const int64_t start = int64_t(blockIdx.x) * args.per_image;
  for (int64_t i = int64_t(threadIdx.x) * V; i < args.per_image; i += kLimitThreads * V) {
    const SdeDenoiseValues<F, V> values(args.denoise, start + i);
    const Pack<float, V> d = values.unlimited(args.denoise, numbers);
    for (int k = 0; k < V; ++k) use(magnitude_bits(d.v[k]));
  }
}

/// By the first warp: the bin of the value of this rank.
__device__ void choose_bin(const SharedArray<unsigned>& bins, int size, unsigned rank,
                           const SharedArray<ChosenBin>& chosen) {
  const int lane = int(threadIdx.x), each = size / kWarpSize;
  unsigned count = 0;
  // Each lane starts at another bin of its own, and so reads another bank.
  for (int i = 0; i < each; ++i) count += bins[lane * each + (i + lane) % each];
  unsigned up_to = count;
  for (int distance = 1; distance < kWarpSize; distance *= 2) {
    const unsigned lower = __shfl_up_sync(~0u, up_to, unsigned(distance));
    if (lane >= distance) up_to += lower;
  }
  unsigned before = up_to - count;
  if (rank < before || rank >= up_to) return;
  int bin = lane * each;
  while (rank >= before + bins[bin]) before += bins[bin++];
  chosen[0] = {bin, rank - before, bins[bin], bins[size - 1]};
}

}  // namespace

/// A block finds an image's limit by a radix select on the bits of |D_0|: a histogram of the first eleven bits tells in
/// which bin the wanted value is, then one of the next ten bits of that bin's values, and one of the last ten.
template <class F, int V>
__global__ void __launch_bounds__(kLimitThreads) dynamic_limit_kernel(DynamicLimitArguments<F> args) {
  SharedMemory shared;
  const auto bins = shared.take<unsigned>(kMostBins);
  const auto chosen = shared.take<ChosenBin>(1);
  const auto slots = shared.take<LeastBits>(kLimitThreads);
  const int thread = int(threadIdx.x);
  uint32_t found = 0;
  ChosenBin now{0, unsigned(args.below), 0, 0};
  for (int shift = 20; shift >= 0; shift -= 10) {
    const Digit digit{shift, shift == 20 ? 11 : 10};
    for (int i = thread; i < digit.bins(); i += kLimitThreads) bins[i] = 0;
    __syncthreads();
    each_magnitude<V>(args, [&](uint32_t bits) {
      if (digit.higher(bits) == digit.higher(found)) atomicAdd(&bins[digit.of(bits)], 1u);
    });
    __syncthreads();
    if (thread < kWarpSize) choose_bin(bins, digit.bins(), now.rank, chosen);
    __syncthreads();
    now = chosen[0];
    found |= uint32_t(now.bin) << shift;
    if (shift == 20 && now.last > 0) {  // there is a NaN
      if (thread == 0) args.limit[blockIdx.x] = float_of_bits(int32_t(kNaNBits));
      return;
    }
  }
  LeastBits above{found};
  if (args.weight > 0 && now.rank + 1 == now.count) {  // the next value is another one
    above.value = kNaNBits;
    each_magnitude<V>(args, [&](uint32_t bits) {
      if (bits > found) above.value = min(above.value, bits);
    });
    merge_rows(slots, thread, kLimitThreads, 0, 1, above);
  }
  if (thread == 0)
    args.limit[blockIdx.x] =
        limit_between(float_of_bits(int32_t(found)), float_of_bits(int32_t(above.value)), args.weight);
}

void dynamic_limit(CudaStream& stream, const DynamicLimitDims& d, const SdeStep* step,
                   const DynamicLimitOperands& o, Out limit) {
  check_dynamic_limit(d, o, limit);
  check_cuda_dtype("dynamic_limit", o.x.dtype);
  visit_cuda("dynamic_limit", o.f.dtype, [&](auto type) {
    using F = decltype(type);
    const QuantilePosition position(d);
    const DynamicLimitArguments<F> args{d.per_image,
                                        step,
                                        SdeDenoiseArguments<F>({o.x, o.f, o.guide_f, {}}),
                                        position.below,
                                        float(position.weight),
                                        limit.as<float>()};
    const bool packs =
        can_pack<kLimitPack>({d.per_image}, args.denoise.x, args.denoise.f, args.denoise.guide_f);
    LaunchConfig config;
    config.grid = dim3(unsigned(d.n));
    config.block = dim3(kLimitThreads);
    config.shared_bytes =
        shared_size<unsigned>(kMostBins) + shared_size<ChosenBin>(1) + shared_size<LeastBits>(kLimitThreads);
    launch(packs ? dynamic_limit_kernel<F, kLimitPack> : dynamic_limit_kernel<F, 1>, config, stream, args);
  });
}

}  // namespace ito::kernels
