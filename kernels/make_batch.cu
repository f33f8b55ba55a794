#include "kernels/cuda_map.cuh"
#include "kernels/make_batch.h"

// An element costs 1 byte read and 4 + 4 written (2 + 4 with a bf16 input), which is the minimum: 64x64 RGB,
// 86 KB a sample in bf16. Indices, coefficients and noise come from 32 bytes a sample. Four elements take
// some 350 instructions (sm_90a), most of them their normal numbers', so on an H100 these bound it rather
// than the bytes.
namespace ito::kernels {

template <class T>
struct MakeBatchArguments {
  MakeBatchDims dims;
  const uint8_t* pixels;
  const SampleRecipe* recipes;
  T* input;
  float* target;
};

namespace {

/// (2 p - 255) / 255 rounded once, as a division would: the quotient's error is found exactly and taken off.
__device__ float level(uint8_t pixel) {
  const float doubled = float(2 * int(pixel) - 255), inverse = 1.0f / 255.0f, rough = doubled * inverse;
  return fmaf(fmaf(-rough, 255.0f, doubled), inverse, rough);
}

/// Where a sample's elements come from in its image, one after the other.
class SourceIndex {
 public:
  __device__ SourceIndex(const MakeBatchDims& d, bool flip, int element)
      : d_(d), flip_(flip), element_(element), column_(0), channel_(0) {
    if (flip) column_ = element / d.c % d.w, channel_ = element % d.c;
  }
  __device__ int next() {
    // The mirror of column q is w - 1 - q, in the same row.
    const int from = flip_ ? element_ + (d_.w - 1 - 2 * column_) * d_.c : element_;
    ++element_;
    if (++channel_ == d_.c) {
      channel_ = 0;
      if (++column_ == d_.w) column_ = 0;
    }
    return from;
  }

 private:
  const MakeBatchDims& d_;
  bool flip_;
  int element_, column_, channel_;
};

}  // namespace

/// A thread takes one block of Philox: elements 4q .. 4q+3 of a sample, at once (V = 4) or singly (V = 1).
/// Four pixels are one access where they are neighbours in the image; a mirrored pixel of three channels is
/// read by bytes, which lie in the sectors that the warp reads anyway.
template <class T, int V>
__global__ void __launch_bounds__(kMapThreads) make_batch_kernel(MakeBatchArguments<T> args) {
  static_assert(kQuad % V == 0, "a block of Philox gives a thread whole packs of numbers");
  const MakeBatchDims& d = args.dims;
  const int size = d.h * d.w * d.c, first = int(first_element(kQuad));
  if (first >= size) return;
  const SampleRecipe r = args.recipes[blockIdx.y];
  const uint8_t* const image = args.pixels + r.image * uint64_t(size);
  SourceIndex source(d, r.flip != 0, first);
  Pack<uint8_t, kQuad> pixel{};
  if (V == kQuad && (!r.flip || d.c % kQuad == 0)) {
    pixel = load<kQuad>(image + source.next());
  } else {
    for (int k = 0; k < kQuad; ++k)
      if (V == kQuad || first + k < size) pixel.v[k] = image[source.next()];
  }
  float z[kQuad];
  normal_block({d.seed, d.purpose, *d.step, r.noise_sample}, uint32_t(first / kQuad), z);
  const int64_t start = int64_t(blockIdx.y) * size + first;
  for (int k = 0; k < kQuad; k += V) {
    if (V < kQuad && first + k >= size) return;
    Pack<T, V> input;
    Pack<float, V> target;
    for (int i = 0; i < V; ++i) {
      const float x0 = level(pixel.v[k + i]);
      input.v[i] = narrow<T>(r.input_x0 * x0 + r.input_z * z[k + i]);
      target.v[i] = r.target_x0 * x0 + r.target_z * z[k + i];
    }
    store(args.input + start + k, input);
    store(args.target + start + k, target);
  }
}

void make_batch(CudaStream& stream, const MakeBatchDims& d, const uint8_t* pixels,
                const SampleRecipe* recipes, Out input, Out target) {
  check_make_batch(d);
  const int64_t size = int64_t(d.h) * d.w * d.c;
  check_index("make_batch", size);
  visit_cuda("make_batch", input.dtype, [&](auto t) {
    using T = decltype(t);
    const MakeBatchArguments<T> args{d, pixels, recipes, input.as<T>(), target.as<float>()};
    const bool packs = can_pack<kQuad>({size}, pixels, args.target, args.input);
    launch(packs ? make_batch_kernel<T, kQuad> : make_batch_kernel<T, 1>,
           map_config("make_batch", d.n, size, kQuad), stream, args);
  });
}

}  // namespace ito::kernels
