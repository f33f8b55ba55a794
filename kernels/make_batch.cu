#include "kernels/batch_sample.cuh"
#include "kernels/make_batch.h"

// An element costs 1 byte read and 4 + 4 written (2 + 4 with a bf16 input), which is the minimum: 64x64 RGB,
// 86 KB a sample in bf16. Indices, coefficients and noise come from 32 bytes a sample. Four elements take
// some 350 instructions (sm_90a), most of them their normal numbers', so on an H100 these bound it rather
// than the bytes.
namespace ito::kernels {

template <class T>
struct MakeBatchArguments {
  MakeBatchDims dims;
  BatchImages images;
  BatchNoise noise;
  T* input;
  float* target;
};

/// A thread takes one block of Philox: elements 4q .. 4q+3 of a sample, at once (V = 4) or singly (V = 1). `varied`:
/// there are maps, chosen candidates or input noise.
template <class T, int V, bool varied>
__global__ void __launch_bounds__(kMapThreads) make_batch_kernel(MakeBatchArguments<T> args) {
  static_assert(kQuad % V == 0, "a block of Philox gives a thread whole packs of numbers");
  const MakeBatchDims& d = args.dims;
  const int size = d.h * d.w * d.c, first = int(first_element(kQuad));
  if (first >= size) return;
  const int n = int(blockIdx.y);
  const SampleRecipe r = args.images.recipes[n];
  SampleImage image = sample_image(d, args.images, n);
  if (!varied) image.map = nullptr;
  float x0[kQuad], z[kQuad], noisy[kQuad];
  read_quad<V>(image, first, x0);
  const uint32_t block = uint32_t(first / kQuad);
  normal_block(noise_key(d, r.noise_sample, varied && args.noise.chosen ? args.noise.chosen[n] : 0), block,
               z);
  for (int k = 0; k < kQuad; ++k) noisy[k] = z[k];
  if (varied && args.noise.input > 0) {
    float xi[kQuad];
    normal_block({d.seed, Purpose::input_noise, *d.step, r.noise_sample}, block, xi);
    for (int k = 0; k < kQuad; ++k) noisy[k] += args.noise.input * xi[k];
  }
  const int64_t start = int64_t(n) * size + first;
  for (int k = 0; k < kQuad; k += V) {
    if (V < kQuad && first + k >= size) return;
    Pack<T, V> input;
    Pack<float, V> target;
    for (int i = 0; i < V; ++i) {
      input.v[i] = narrow<T>(r.input_x0 * x0[k + i] + r.input_z * noisy[k + i]);
      target.v[i] = r.target_x0 * x0[k + i] + r.target_z * z[k + i];
    }
    store(args.input + start + k, input);
    store(args.target + start + k, target);
  }
}

void make_batch(CudaStream& stream, const MakeBatchDims& d, const BatchImages& images,
                const BatchNoise& noise, Out input, Out target) {
  check_make_batch(d);
  const int64_t size = int64_t(d.h) * d.w * d.c;
  check_index("make_batch", size);
  visit_cuda("make_batch", input.dtype, [&](auto t) {
    using T = decltype(t);
    const MakeBatchArguments<T> args{d, images, noise, input.as<T>(), target.as<float>()};
    const bool packs = can_pack<kQuad>({size}, images.pixels, args.target, args.input);
    const auto start = [&](auto packed, auto single) {
      launch(packs ? packed : single, map_config("make_batch", d.n, size, kQuad), stream, args);
    };
    if (images.maps || noise.chosen || noise.input > 0)
      start(make_batch_kernel<T, kQuad, true>, make_batch_kernel<T, 1, true>);
    else
      start(make_batch_kernel<T, kQuad, false>, make_batch_kernel<T, 1, false>);
  });
}

}  // namespace ito::kernels
