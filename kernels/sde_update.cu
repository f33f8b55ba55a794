#include "kernels/cuda_map.cuh"
#include "kernels/sde_update.h"

// Bytes an element, f and next_in in bf16: start 4 (x is start, or read as well: 4), f 2 and each history 4
// are read, x' 4, next_in 2 and, where later steps want it, D_0 4 are written. An Euler step moves 12,
// DPM-Solver++ (2M) 20; guidance adds 4, a second f and next_in. All once, which is the minimum; noise moves
// nothing.
namespace ito::kernels {

template <class F, class Next>
struct SdeUpdateArguments {
  SdeUpdateDims dims;
  const SdeStep* step;
  const float *start, *x;
  const F* f;
  const float* history[kSdeHistory];
  const uint64_t* seeds;
  float *denoised, *x_out;
  Next* next_in;
  float* next_c_noise;
};

namespace {

/// What is loaded for V elements. All of it before anything is stored: the result may alias an operand.
template <class F, int V>
struct SdeValues {
  Pack<float, V> start{}, x{}, history[kSdeHistory]{};
  Pack<F, V> f{}, null{};

  template <class Next>
  __device__ SdeValues(const SdeUpdateArguments<F, Next>& args, int64_t at) {
    if (args.start) start = load<V>(args.start + at);
    if (args.f) {
      x = load<V>(args.x + at);
      f = load<V>(args.f + at);
      if (args.dims.guided) null = load<V>(args.f + int64_t(args.dims.n) * args.dims.per_image + at);
    }
    for (int k = 0; k < kSdeHistory; ++k)
      if (k < args.dims.history) history[k] = load<V>(args.history[k] + at);
  }
  /// The network's output F.
  __device__ float output(int i, bool guided, float guidance) const {
    if (!guided) return float(f.v[i]);
    return float(null.v[i]) + guidance * (float(f.v[i]) - float(null.v[i]));
  }
};

/// The results of V elements from `at` on; z: their normal numbers.
template <int V, class F, class Next>
__device__ void update(const SdeUpdateArguments<F, Next>& args, const SdeStep& s, int64_t at,
                       const float* z) {
  const SdeValues<F, V> value(args, at);
  Pack<float, V> denoised, result;
  Pack<Next, V> next;
  for (int i = 0; i < V; ++i) {
    denoised.v[i] = s.skip * value.x.v[i] + s.out * value.output(i, args.dims.guided, s.guidance);
    float sum = s.a * value.start.v[i] + s.b[0] * denoised.v[i];
    for (int k = 0; k < kSdeHistory; ++k) sum += s.b[1 + k] * value.history[k].v[i];
    result.v[i] = sum + s.c * z[i];
    next.v[i] = narrow<Next>(s.next_scale * result.v[i]);
  }
  store(args.x_out + at, result);
  if (args.f && args.denoised) store(args.denoised + at, denoised);
  if (!args.next_in) return;
  store(args.next_in + at, next);
  if (args.dims.guided) store(args.next_in + int64_t(args.dims.n) * args.dims.per_image + at, next);
}

}  // namespace

/// A thread takes one block of Philox: elements 4q .. 4q+3 of an image, at once (V = 4) or singly (V = 1).
template <class F, class Next, int V>
__global__ void __launch_bounds__(kMapThreads) sde_update_kernel(SdeUpdateArguments<F, Next> args) {
  static_assert(kQuad % V == 0, "a block of Philox gives a thread whole packs of numbers");
  const int64_t first = first_element(kQuad), image = blockIdx.y;
  if (first >= args.dims.per_image) return;
  const SdeStep s = *args.step;
  float z[kQuad] = {0, 0, 0, 0};
  if (s.c != 0)
    normal_block({args.seeds[image], args.dims.purpose, s.noise_step, 0}, uint32_t(first / kQuad), z);
  for (int k = 0; k < kQuad; k += V)
    if (first + k < args.dims.per_image) update<V>(args, s, image * args.dims.per_image + first + k, z + k);
  if (first > 0 || !args.next_c_noise) return;
  args.next_c_noise[image] = s.next_c_noise;
  if (args.dims.guided) args.next_c_noise[args.dims.n + image] = s.next_c_noise;
}

namespace {

template <class F, class Next>
void launch_update(CudaStream& stream, const SdeUpdateDims& d, const SdeStep* step,
                   const SdeUpdateOperands& o) {
  const SdeUpdateArguments<F, Next> args{d,
                                         step,
                                         o.start.as<float>(),
                                         o.x.as<float>(),
                                         o.f.as<F>(),
                                         {o.history[0].as<float>(), o.history[1].as<float>()},
                                         o.seeds,
                                         o.denoised.as<float>(),
                                         o.x_out.as<float>(),
                                         o.next_in.as<Next>(),
                                         o.next_c_noise.as<float>()};
  const bool packs = can_pack<kQuad>({d.per_image}, args.start, args.x, args.f, args.history[0],
                                     args.history[1], args.denoised, args.x_out, args.next_in);
  launch(packs ? sde_update_kernel<F, Next, kQuad> : sde_update_kernel<F, Next, 1>,
         map_config("sde_update", d.n, d.per_image, kQuad), stream, args);
}

}  // namespace

void sde_update(CudaStream& stream, const SdeUpdateDims& d, const SdeStep* step, const SdeUpdateOperands& o) {
  check_sde_update(d, o);
  check_cuda_dtype("sde_update", o.x_out.dtype);
  visit_cuda("sde_update", o.f.dtype, [&](auto f) {
    visit_cuda("sde_update", o.next_in.dtype,
               [&](auto next) { launch_update<decltype(f), decltype(next)>(stream, d, step, o); });
  });
}

}  // namespace ito::kernels
