#include "kernels/langevin_step.h"
#include "kernels/sde_denoise.cuh"

// Bytes an element, f and next_in in bf16: the norms read x (4) and f (2), the update reads them again and writes
// x' (4) and next_in (2); a guide adds 2, 2 and 2. That is the minimum, since the norms must be known before the first
// element moves. Both draw the noise, some 350 instructions for four elements, which on an H100 should bound them
// rather than bytes.
namespace ito::kernels {

inline constexpr int kLangevinThreads = 512;  // of a block of langevin_norms

template <class F, class Next>
struct LangevinArguments {
  LangevinDims dims;
  const LangevinStep* step;
  SdeDenoiseArguments<F> denoise;
  const uint64_t* seeds;
  float *norms, *x_out;
  SdeNextArguments<Next> network, guide;

  LangevinArguments(const LangevinDims& d, const LangevinStep* step, const LangevinOperands& o)
      : dims(d),
        step(step),
        denoise({o.x, o.network.f, o.guide.f, o.limit}),
        seeds(o.seeds),
        norms(o.norms.as<float>()),
        x_out(o.x_out.as<float>()),
        network(o.network),
        guide(o.guide) {}
};

namespace {

template <class F, class Next>
__device__ void draw_noise(const LangevinArguments<F, Next>& args, const LangevinStep& s, int64_t image,
                           int64_t first, float z[kQuad]) {
  normal_block({args.seeds[image], Purpose::corrector_noise, s.noise_step, 0}, uint32_t(first / kQuad), z);
}

/// x' of V elements of an image from `at` on; z: their normal numbers.
template <int V, class F, class Next>
__device__ void update(const LangevinArguments<F, Next>& args, const LangevinStep& s,
                       const LangevinMove<float>& move, int64_t image, int64_t at, const float* z) {
  const SdeDenoiseValues<F, V> value(args.denoise, at);
  const Pack<float, V> d = value.denoised(args.denoise, SdeDenoise<float>(s), image);
  Pack<float, V> result;
  for (int i = 0; i < V; ++i) result.v[i] = move.moved(value.x.v[i], d.v[i], z[i]);
  store(args.x_out + at, result);
  args.network.write(s.network, at, result);
  args.guide.write(s.guide, at, result);
}

}  // namespace

/// A block sums an image. A thread takes blocks of Philox, whose elements are loaded at once (V = 4) or singly (V = 1).
template <class F, class Next, int V>
__global__ void __launch_bounds__(kLangevinThreads) langevin_norms_kernel(LangevinArguments<F, Next> args) {
  static_assert(kQuad % V == 0, "a block of Philox gives a thread whole packs of numbers");
  SharedMemory shared;
  const auto slots = shared.take<LangevinSums>(kLangevinThreads);
  const int64_t image = blockIdx.x, start = image * args.dims.per_image;
  const LangevinStep s = *args.step;
  LangevinSums sum{0, 0};
  for (int64_t first = int64_t(threadIdx.x) * kQuad; first < args.dims.per_image;
       first += kLangevinThreads * kQuad) {
    float z[kQuad];
    draw_noise(args, s, image, first, z);
    for (int k = 0; k < kQuad; k += V) {
      if (first + k >= args.dims.per_image) break;
      const SdeDenoiseValues<F, V> value(args.denoise, start + first + k);
      const Pack<float, V> d = value.denoised(args.denoise, SdeDenoise<float>(s), image);
      for (int i = 0; i < V; ++i) {
        const double noise = z[k + i], drift = d.v[i] - value.x.v[i];
        sum.merge({noise * noise, drift * drift});
      }
    }
  }
  merge_rows(slots, int(threadIdx.x), kLangevinThreads, 0, 1, sum);
  if (threadIdx.x > 0) return;
  args.norms[2 * image] = float(sum.noise), args.norms[2 * image + 1] = float(sum.drift);
}

/// A thread takes one block of Philox: elements 4q .. 4q+3 of an image, at once (V = 4) or singly (V = 1).
template <class F, class Next, int V>
__global__ void __launch_bounds__(kMapThreads) langevin_update_kernel(LangevinArguments<F, Next> args) {
  static_assert(kQuad % V == 0, "a block of Philox gives a thread whole packs of numbers");
  SharedMemory shared;
  const auto slots = shared.take<LangevinSums>(kMapThreads);
  const auto shared_move = shared.take<LangevinMove<float>>(1);
  const int64_t first = first_element(kQuad), image = blockIdx.y;
  const LangevinStep s = *args.step;
  LangevinSums norms{0, 0};
  if (args.dims.batch_norms) {  // the ratio of the means is that of the sums
    for (int i = int(threadIdx.x); i < args.dims.n; i += kMapThreads) norms.merge(norms_of(args.norms, i));
    merge_rows(slots, int(threadIdx.x), kMapThreads, 0, 1, norms);
  } else if (threadIdx.x == 0) {
    norms = norms_of(args.norms, image);
  }
  if (threadIdx.x == 0) shared_move[0] = LangevinMove<float>::of(s, norms);
  __syncthreads();
  if (first >= args.dims.per_image) return;
  const LangevinMove<float> move = shared_move[0];
  float z[kQuad];
  draw_noise(args, s, image, first, z);
  for (int k = 0; k < kQuad; k += V)
    if (first + k < args.dims.per_image)
      update<V>(args, s, move, image, image * args.dims.per_image + first + k, z + k);
  if (first > 0) return;
  args.network.write_condition(s.network, image);
  args.guide.write_condition(s.guide, image);
}

void langevin_norms(CudaStream& stream, const LangevinDims& d, const LangevinStep* step,
                    const LangevinOperands& o) {
  check_langevin(d, o);
  check_cuda_dtype("langevin", o.x.dtype);
  visit_cuda("langevin", o.network.f.dtype, [&](auto f) {
    using F = decltype(f);
    LangevinOperands read = o;  // it writes no next input
    read.network = {.f = o.network.f}, read.guide = {.f = o.guide.f};
    const LangevinArguments<F, float> args(d, step, read);
    const bool packs = can_pack<kQuad>({d.per_image}, args.denoise.x, args.denoise.f, args.denoise.guide_f);
    LaunchConfig config;
    config.grid = dim3(unsigned(d.n));
    config.block = dim3(kLangevinThreads);
    config.shared_bytes = shared_size<LangevinSums>(kLangevinThreads);
    launch(packs ? langevin_norms_kernel<F, float, kQuad> : langevin_norms_kernel<F, float, 1>, config,
           stream, args);
  });
}

void langevin_update(CudaStream& stream, const LangevinDims& d, const LangevinStep* step,
                     const LangevinOperands& o) {
  check_langevin_update(d, o);
  check_cuda_dtype("langevin", o.x.dtype);
  visit_sde_types("langevin", o.network, [&](auto f, auto next) {
    using F = decltype(f);
    using Next = decltype(next);
    const LangevinArguments<F, Next> args(d, step, o);
    const bool packs = can_pack<kQuad>({d.per_image}, args.denoise.x, args.denoise.f, args.denoise.guide_f,
                                       args.x_out, args.network.next_in, args.guide.next_in);
    LaunchConfig config = map_config("langevin", d.n, d.per_image, kQuad);
    config.shared_bytes = shared_size<LangevinSums>(kMapThreads) + shared_size<LangevinMove<float>>(1);
    launch(packs ? langevin_update_kernel<F, Next, kQuad> : langevin_update_kernel<F, Next, 1>, config,
           stream, args);
  });
}

}  // namespace ito::kernels
