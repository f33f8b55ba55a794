#include "kernels/sde_denoise.cuh"

// Bytes an element, f and next_in in bf16: start 4 (x is start, or read as well: 4), f 2 and each history 4
// are read, x' 4, next_in 2 and, where later steps want it, D_0 4 are written. An Euler step moves 12,
// DPM-Solver++ (2M) 20; a guide adds 4, a second f and next_in. All once, which is the minimum; noise moves
// nothing.
namespace ito::kernels {

template <class F, class Next>
struct SdeUpdateArguments {
  SdeUpdateDims dims;
  const SdeStep* step;
  const float* start;
  SdeDenoiseArguments<F> denoise;
  const float* history[kSdeHistory];
  const uint64_t* seeds;
  float *denoised, *x_out;
  SdeNextArguments<Next> network, guide;
};

namespace {

/// What is loaded for V elements. All of it before anything is stored: the result may alias an operand.
template <class F, int V>
struct SdeValues {
  Pack<float, V> start{}, history[kSdeHistory]{};
  SdeDenoiseValues<F, V> denoise;

  template <class Next>
  __device__ SdeValues(const SdeUpdateArguments<F, Next>& args, int64_t at) : denoise(args.denoise, at) {
    if (args.start) start = load<V>(args.start + at);
    for (int k = 0; k < kSdeHistory; ++k)
      if (k < args.dims.history) history[k] = load<V>(args.history[k] + at);
  }
};

/// The results of V elements of an image from `at` on; z: their normal numbers.
template <int V, class F, class Next>
__device__ void update(const SdeUpdateArguments<F, Next>& args, const SdeStep& s, int64_t image, int64_t at,
                       const float* z) {
  const SdeValues<F, V> value(args, at);
  const Pack<float, V> denoised = value.denoise.denoised(args.denoise, SdeDenoise<float>(s), image);
  Pack<float, V> result, raw{};
  if (s.b_raw != 0) raw = value.denoise.unlimited(args.denoise, SdeDenoise<float>(s));
  for (int i = 0; i < V; ++i) {
    float sum = s.a * value.start.v[i] + s.b[0] * denoised.v[i];
    for (int k = 0; k < kSdeHistory; ++k) sum += s.b[1 + k] * value.history[k].v[i];
    sum += s.b_raw * raw.v[i];
    result.v[i] = sum + s.c * z[i];
  }
  store(args.x_out + at, result);
  if (args.denoise.f && args.denoised) store(args.denoised + at, denoised);
  args.network.write(s.network, at, result);
  args.guide.write(s.guide, at, result);
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
    if (first + k < args.dims.per_image)
      update<V>(args, s, image, image * args.dims.per_image + first + k, z + k);
  if (first > 0) return;
  args.network.write_condition(s.network, image);
  args.guide.write_condition(s.guide, image);
}

namespace {

template <class F, class Next>
void launch_update(CudaStream& stream, const SdeUpdateDims& d, const SdeStep* step,
                   const SdeUpdateOperands& o) {
  const SdeUpdateArguments<F, Next> args{
      d,
      step,
      o.start.as<float>(),
      SdeDenoiseArguments<F>({o.x, o.network.f, o.guide.f, o.limit}),
      {o.history[0].as<float>(), o.history[1].as<float>(), o.history[2].as<float>()},
      o.seeds,
      o.denoised.as<float>(),
      o.x_out.as<float>(),
      SdeNextArguments<Next>(o.network),
      SdeNextArguments<Next>(o.guide)};
  static_assert(kSdeHistory == 3, "the history is listed by hand here");
  const bool packs = can_pack<kQuad>({d.per_image}, args.start, args.denoise.x, args.denoise.f,
                                     args.denoise.guide_f, args.history[0], args.history[1], args.history[2],
                                     args.denoised, args.x_out, args.network.next_in, args.guide.next_in);
  launch(packs ? sde_update_kernel<F, Next, kQuad> : sde_update_kernel<F, Next, 1>,
         map_config("sde_update", d.n, d.per_image, kQuad), stream, args);
}

}  // namespace

void sde_update(CudaStream& stream, const SdeUpdateDims& d, const SdeStep* step, const SdeUpdateOperands& o) {
  check_sde_update(d, o);
  check_cuda_dtype("sde_update", o.x_out.dtype);
  visit_sde_types("sde_update", o.network,
                  [&](auto f, auto next) { launch_update<decltype(f), decltype(next)>(stream, d, step, o); });
}

}  // namespace ito::kernels
