#include "kernels/cuda_device.cuh"
#include "kernels/cuda_launch.h"
#include "kernels/sde_update.h"

namespace ito::kernels {

inline constexpr int kSdeUpdateThreads = 256;

struct SdeUpdateArguments {
  const float* x;
  const float* f[kMaxSdeTerms];
  const uint64_t* seeds;
  float* x_out;
  float* next_f32;  // at most one of the two
  bf16* next_bf16;
  SdeCoefficients k;
  SdeUpdateDims dims;
  int blocks_per_image;
};

namespace {

/// x_out and next_in of V elements from `at` on; z: their normal numbers.
template <int V>
__device__ void update(const SdeUpdateArguments& args, int64_t at, const float* z) {
  const SdeCoefficients& k = args.k;
  float sum[V];
  const Pack<float, V> x = load<V>(args.x + at);
  for (int i = 0; i < V; ++i) sum[i] = k.a * x.v[i];
  for (int term = 0; term < kMaxSdeTerms; ++term) {
    if (term >= args.dims.terms) break;
    const Pack<float, V> f = load<V>(args.f[term] + at);
    for (int i = 0; i < V; ++i) sum[i] += k.b[term] * f.v[i];
  }
  Pack<float, V> result, next;
  Pack<bf16, V> next_narrow;
  for (int i = 0; i < V; ++i) {
    result.v[i] = k.c != 0 ? sum[i] + k.c * z[i] : sum[i];
    next.v[i] = k.next_scale * result.v[i];
    next_narrow.v[i] = narrow<bf16>(next.v[i]);
  }
  store(args.x_out + at, result);
  if (args.next_f32) store(args.next_f32 + at, next);
  if (args.next_bf16) store(args.next_bf16 + at, next_narrow);
}

}  // namespace

/// A thread takes one block of Philox: elements 4q .. 4q+3 of an image. V = 4 where they can be moved at
/// once, else 1. Grid: images x blocks_per_image, along x.
template <int V>
__global__ void __launch_bounds__(kSdeUpdateThreads) sde_update_kernel(SdeUpdateArguments args) {
  const int image = int(blockIdx.x) / args.blocks_per_image;
  const int quad = int(blockIdx.x) % args.blocks_per_image * kSdeUpdateThreads + int(threadIdx.x);
  const int64_t first = int64_t(quad) * 4;
  if (first >= args.dims.per_image) return;
  float z[4] = {0, 0, 0, 0};
  if (args.k.c != 0)
    normal_block({args.seeds[image], args.dims.purpose, args.dims.step, 0}, uint32_t(quad), z);
  const int64_t start = int64_t(image) * args.dims.per_image;
  for (int i = 0; i < 4; i += V)
    if (first + i < args.dims.per_image) update<V>(args, start + first + i, z + i);
}

void sde_update(CudaStream& stream, const SdeUpdateDims& d, const SdeCoefficients& k, In x,
                const In (&f)[kMaxSdeTerms], const uint64_t* seeds, Out x_out, Out next_in) {
  if (x.dtype == DType::f64) fail("sde_update: f64 exists on the CPU only; on CUDA use f32");
  if (d.n < 1 || d.per_image < 1 || d.terms < 0 || d.terms > kMaxSdeTerms)
    fail(cat("sde_update: n ", d.n, ", per_image ", d.per_image, ", terms ", d.terms, " (0..", kMaxSdeTerms,
             ")"));
  if (k.c != 0 && !seeds) fail("sde_update: noise (c != 0) needs a seed for each image");
  SdeUpdateArguments args{};
  args.x = x.as<float>();
  args.seeds = seeds;
  args.x_out = x_out.as<float>();
  args.k = k;
  args.dims = d;
  bool wide = d.per_image % 4 == 0;
  const auto need_alignment = [&wide](const void* p, size_t bytes) {
    wide &= reinterpret_cast<uintptr_t>(p) % bytes == 0;
  };
  if (next_in.dtype == DType::bf16)
    args.next_bf16 = next_in.as<bf16>();
  else
    args.next_f32 = next_in.as<float>();
  for (int term = 0; term < d.terms; ++term) {
    if (!f[term]) fail(cat("sde_update: term ", term, " of ", d.terms, " is missing"));
    args.f[term] = f[term].as<float>();
    need_alignment(args.f[term], 16);
  }
  need_alignment(args.x, 16);
  need_alignment(args.x_out, 16);
  need_alignment(args.next_f32, 16);
  need_alignment(args.next_bf16, 8);

  constexpr int kElements = 4 * kSdeUpdateThreads;
  args.blocks_per_image = int((int64_t(d.per_image) + kElements - 1) / kElements);
  const int64_t blocks = int64_t(args.blocks_per_image) * d.n;
  if (blocks > 0x7fffffff)
    fail(cat("sde_update: ", d.n, " images of ", d.per_image, " elements need too many blocks; split them"));
  LaunchConfig config;
  config.grid = dim3(unsigned(blocks));
  config.block = dim3(kSdeUpdateThreads);
  launch(wide ? sde_update_kernel<4> : sde_update_kernel<1>, config, stream, args);
}

}  // namespace ito::kernels
